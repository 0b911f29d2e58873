import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUNDLE, egressWithout, network, send } from '../../test/support/egress.ts';
import { dnsServer } from '../../test/support/dns-server.ts';
import { httpSide } from '../../test/support/far-side.ts';
import type { FarSide } from '../../test/support/far-side.ts';

const HOME = '127.0.0.2';
const ABROAD = '127.0.0.4';

function facts(port: number) {
  return network(port, { url: `http://jp-a.test:${port}`, hosts: ['jp-a.test'], addresses: [`${HOME}/32`] });
}

function closing(host: string, port?: number): Promise<FarSide> {
  return httpSide(
    (asked, reply) => {
      asked.resume();
      reply.writeHead(200, { connection: 'close', 'content-length': '2' }).end('{}');
    },
    port === undefined ? { host } : { host, port },
  );
}

test('guard address: an answer that turns abroad between two connections is not followed', async () => {
  await using home = await closing(HOME);
  await using abroad = await closing(ABROAD, home.port);
  let answers = 0;
  await using names = await dnsServer((_, type) =>
    type === 'AAAA' ? [] : [answers++ === 0 ? HOME : ABROAD],
  );
  await using egress = egressWithout([], { resolvers: [names.server] });
  const channel = egress.endpoint(facts(home.port), BUNDLE);
  assert.equal((await send(channel)).error, null);
  assert.equal((await send(channel)).error, 'egress.denied:address');
  assert.equal(abroad.connections(), 0);

  await using open = egressWithout(['answers', 'address'], { resolvers: [names.server] });
  assert.equal((await send(open.endpoint(facts(home.port), BUNDLE))).error, null);
  assert.equal(abroad.connections(), 1);
});

test('guard address: one question serves one connection, so there is no second answer to rebind', async () => {
  await using home = await closing(HOME);
  await using names = await dnsServer((_, type) => (type === 'A' ? [HOME] : []));
  await using egress = egressWithout([], { resolvers: [names.server] });
  await send(egress.endpoint(facts(home.port), BUNDLE));
  assert.deepEqual(names.questions.toSorted(), ['A jp-a.test', 'AAAA jp-a.test']);
});

test('guard address: the connected socket is judged too, before it carries a byte', async () => {
  await using abroad = await closing(ABROAD);
  await using names = await dnsServer((_, type) => (type === 'A' ? [ABROAD] : []));
  await using egress = egressWithout(['answers'], { resolvers: [names.server] });
  const result = await send(egress.endpoint(facts(abroad.port), BUNDLE));
  assert.equal(result.error, 'egress.denied:address');
  assert.equal(result.call.observed(), null);
  assert.equal(abroad.bytes(), 0);
});

test('guard address: only the allowed ones of several answers are tried, in either family', async () => {
  await using home = await closing(HOME);
  await using abroad = await closing(ABROAD, home.port);
  await using six = await closing('::1', home.port);
  await using names = await dnsServer((_, type) =>
    type === 'A' ? [ABROAD, HOME, '127.0.0.9'] : ['0:0:0:0:0:0:0:1'],
  );
  await using egress = egressWithout([], { resolvers: [names.server] });
  const channel = egress.endpoint(facts(home.port), BUNDLE);
  for (let i = 0; i < 3; i++) {
    const result = await send(channel);
    assert.equal(result.error, null);
    assert.equal(result.call.observed()?.peer, `${HOME}:${home.port}`);
  }
  assert.deepEqual([abroad.connections(), six.connections()], [0, 0]);

  await using open = egressWithout(['answers', 'address'], { resolvers: [names.server] });
  await send(open.endpoint(facts(home.port), BUNDLE));
  assert.equal(abroad.connections(), 1);
});

test('guard address: an IPv6 answer that leads abroad is refused while nothing listens at home', async () => {
  await using six = await closing('::1');
  await using names = await dnsServer((_, type) => (type === 'A' ? [HOME] : ['0:0:0:0:0:0:0:1']));
  await using egress = egressWithout([], { resolvers: [names.server] });
  assert.equal((await send(egress.endpoint(facts(six.port), BUNDLE))).error, 'egress.unreachable');
  assert.equal(six.connections(), 0);
});

test('a listed IPv6 prefix is connected, and its peer is written in brackets', async () => {
  await using six = await closing('::1');
  await using names = await dnsServer((_, type) => (type === 'A' ? [] : ['0:0:0:0:0:0:0:1']));
  await using egress = egressWithout([], { resolvers: [names.server] });
  const result = await send(egress.endpoint({ ...facts(six.port), addresses: ['::1/128'] }, BUNDLE));
  assert.equal(result.error, null);
  assert.equal(result.call.observed()?.peer, `[::1]:${six.port}`);
});

test('an allowed address that refuses is followed by the next allowed one', async () => {
  await using home = await closing(HOME);
  await using names = await dnsServer((_, type) => (type === 'A' ? ['127.0.0.9', HOME] : []));
  await using egress = egressWithout([], { resolvers: [names.server] });
  const both = { ...facts(home.port), addresses: [`${HOME}/32`, '127.0.0.9/32'] };
  assert.equal((await send(egress.endpoint(both, BUNDLE))).error, null);
});

test('no search domain is appended, localhost is no question, and an unknown name is unreachable', async () => {
  await using home = await closing('127.0.0.1');
  await using names = await dnsServer(() => []);
  await using egress = egressWithout([], { resolvers: [names.server] });
  const short = network(home.port, { url: `http://jp-a:${home.port}`, hosts: ['jp-a'] });
  assert.equal((await send(egress.endpoint(short, BUNDLE))).error, 'egress.unreachable');
  assert.deepEqual([...new Set(names.questions)].toSorted(), ['A jp-a', 'AAAA jp-a']);
  names.questions.length = 0;
  const local = network(home.port, { url: `http://localhost:${home.port}`, hosts: ['localhost'] });
  assert.equal((await send(egress.endpoint(local, BUNDLE))).error, null);
  assert.deepEqual(names.questions, []);
});
