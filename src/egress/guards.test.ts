import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import {
  BUNDLE,
  PROMPT,
  egressWithout,
  label,
  network,
  permit,
  refused,
  send,
} from '../../test/support/egress.ts';
import { dnsServer } from '../../test/support/dns-server.ts';
import { httpSide } from '../../test/support/far-side.ts';
import { parsePrefixes } from './address.ts';
import { mintPermit } from './permit.ts';
import { GUARDS, type EgressRequest } from './types.ts';

const ANSWER = { 'content-type': 'application/json' };

for (const status of [300, 301, 302, 303, 304, 307, 308]) {
  test(`guard redirect: a ${status} ends the exchange and the socket, and nothing goes to its target`, async () => {
    await using abroad = await httpSide((_, reply) => reply.end('stolen'), { host: '127.0.0.4' });
    await using side = await httpSide((asked, reply) => {
      asked.resume();
      reply.writeHead(status, { location: `http://127.0.0.4:${abroad.port}/steal` }).end('look there');
    });
    await using egress = egressWithout([]);
    const result = await send(egress.endpoint(network(side.port), BUNDLE));
    assert.equal(result.error, 'egress.denied:redirect');
    assert.equal(result.status, null);
    assert.equal(result.body, '');
    assert.equal(abroad.connections(), 0);

    await using open = egressWithout(['redirect']);
    const passed = await send(open.endpoint(network(side.port), BUNDLE));
    assert.equal(passed.status, status);
    assert.match(passed.headers['location'] ?? '', /steal/);
  });
}

test('guard header: a header that is not listed refuses the request, and the far side hears nothing', async () => {
  const seen: string[] = [];
  await using side = await httpSide((asked, reply) => {
    seen.push(...Object.keys(asked.headers));
    asked.resume();
    reply.writeHead(200, ANSWER).end('{}');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  for (const name of [
    'cookie',
    'x-stainless-os',
    'traceparent',
    'openai-organization',
    'Authorization',
    '__proto__x',
  ])
    assert.equal(
      (await send(channel, { headers: { [name]: 'CANARY' } })).error,
      'egress.denied:header',
      name,
    );
  assert.equal((await send(channel, { headers: { 'user-agent': 'other' } })).error, 'egress.denied:header');
  assert.equal((await send(channel, { headers: { host: 'evil.example' } })).error, 'egress.denied:header');
  assert.equal((await send(channel, { headers: { accept: 'a\r\nx: y' } })).error, 'egress.denied:header');
  assert.equal(side.connections(), 0);

  await using open = egressWithout(['header']);
  await send(open.endpoint(network(side.port), BUNDLE), { headers: { 'x-stainless-os': 'CANARY' } });
  assert.ok(seen.includes('x-stainless-os'));
});

test('exactly the listed headers leave', async () => {
  let raw: string[] = [];
  await using side = await httpSide((asked, reply) => {
    raw = asked.rawHeaders;
    asked.resume();
    reply.writeHead(200, ANSWER).end('{}');
  });
  await using egress = egressWithout([]);
  const headers = { ...PROMPT.headers, accept: 'text/event-stream', 'api-key': 'a', 'x-api-key': 'b' };
  const result = await send(egress.endpoint(network(side.port), BUNDLE), { headers });
  assert.equal(result.error, null);
  const sent = Object.fromEntries(raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1]]] : [])));
  assert.deepEqual(sent, {
    ...headers,
    host: `127.0.0.1:${side.port}`,
    connection: 'keep-alive',
    'user-agent': 'sekisho',
    'accept-encoding': 'identity',
    'content-length': '19',
  });
});

test('guard permit: forged, spent and misdirected permits send nothing', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, ANSWER).end('{}');
  });
  const attempt = async (off: readonly 'permit'[], used: ReturnType<typeof permit>) => {
    await using egress = egressWithout(off);
    const channel = egress.endpoint(network(side.port), BUNDLE);
    return await new Promise<string>((resolve) => {
      channel.dispatch(used, PROMPT, {
        onHead: () => {},
        onData: () => true,
        onEnd: () => resolve('sent'),
        onError: (fault) => resolve(label(fault)),
      });
    });
  };
  const spent = permit();
  assert.equal(await attempt([], spent), 'sent');
  assert.equal(side.connections(), 1);
  for (const [what, bad] of [
    ['spent', spent],
    ['forged', { ...permit() }],
    ['inherited', Object.create(permit()) as ReturnType<typeof permit>],
    ['another endpoint', permit('jp-b/m')],
    ['another bundle', permit('jp-a/m', 'sha256:b2')],
  ] as const)
    assert.equal(await attempt([], bad), 'egress.denied:permit', what);
  assert.equal(side.connections(), 1);
  assert.equal(await attempt(['permit'], spent), 'sent');
  const mutable = permit();
  assert.throws(() => Object.assign(mutable, { endpoint: 'jp-b/m' }), TypeError);
});

test('guard posture: a disconnected site reaches no outside address, not even over an open connection', async () => {
  const side = () =>
    httpSide(
      (asked, reply) => {
        asked.resume();
        reply.writeHead(200, ANSWER).end('{}');
      },
      { host: '127.0.0.4' },
    );
  const building = parsePrefixes(['127.0.0.0/30']);
  for (const off of [[], ['posture']] as const) {
    await using abroad = await side();
    let posture: 'private' | 'disconnected' = 'private';
    await using egress = egressWithout(off, { posture: () => posture }, building);
    const at = { url: `http://127.0.0.4:${abroad.port}`, hosts: ['127.0.0.4'] };
    const channel = egress.endpoint(network(abroad.port, at), BUNDLE);
    assert.equal((await send(channel)).error, null);
    const before = abroad.bytes();
    posture = 'disconnected';
    // First over the connection that is open, then over a new one.
    const after = [(await send(channel)).error, (await send(channel)).error];
    const refusal = off.length === 0 ? 'egress.denied:posture' : null;
    assert.deepEqual(after, [refusal, refusal]);
    assert.equal(abroad.bytes() === before, off.length === 0);
    assert.equal(abroad.connections(), 1);
  }
});

test('guard resolver: a disconnected site asks no name server outside', async () => {
  await using egress = egressWithout([], { resolvers: ['203.0.113.53'], posture: () => 'disconnected' });
  const named = network(80, { url: 'http://jp-a.test', hosts: ['jp-a.test'] });
  assert.equal((await send(egress.endpoint(named, BUNDLE))).error, 'egress.denied:resolver');

  await using inside = await dnsServer(() => ['127.0.0.1']);
  await using asking = egressWithout([], { resolvers: [inside.server], posture: () => 'disconnected' });
  await send(asking.endpoint(named, BUNDLE));
  assert.deepEqual(inside.questions.toSorted(), ['A jp-a.test', 'AAAA jp-a.test']);
});

test('guard bundle: a retired bundle starts nothing and opens no channel', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, ANSWER).end('{}');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  egress.retire(BUNDLE, 0);
  assert.equal((await send(channel)).error, 'egress.denied:bundle');
  assert.equal(await refused(() => egress.endpoint(network(side.port), BUNDLE)), 'egress.denied:bundle');
  assert.equal(side.connections(), 0);
});

test('the documented list holds every guard, and every guard has its test', async () => {
  const folder = new URL('.', import.meta.url);
  const page = await readFile(new URL('../../docs/egress.md', folder), 'utf8');
  const [, section = ''] = /^## Guards.*?$([^]*?)^## /m.exec(page) ?? [];
  const rows = section.matchAll(/^\| `(\w+)` \|.*$/gm);
  const tests = await Promise.all(
    (await readdir(folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => readFile(new URL(name, folder), 'utf8')),
  );
  const listed = [...rows].map(([, guard]) => guard);
  assert.deepEqual(listed, [...GUARDS]);
  for (const guard of GUARDS) {
    assert.ok(
      tests.some((source) => source.includes(`guard ${guard}:`)),
      guard,
    );
  }
});

test('a path that is no path is refused: an absolute form could steer a proxy', async () => {
  await using side = await httpSide((_, reply) => reply.end());
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  for (const path of ['http://127.0.0.4/', '//127.0.0.4/', 'v1', '/a b', '/a\r\nx: y', '/\\evil', ''])
    assert.equal((await send(channel, { path })).error, 'egress.denied:host', path);
  assert.equal(side.connections(), 0);
});

test('guard permit: a permit of a control destination sends its one request and no prompt', async () => {
  const seen: string[] = [];
  await using side = await httpSide((asked, reply) => {
    seen.push(`${asked.method} ${asked.url}`);
    asked.resume();
    reply.writeHead(200, ANSWER).end('{}');
  });
  const get = { method: 'GET', path: '/v1/models', maxBytes: 0 } as const;
  const attempt = async (off: readonly 'permit'[], request: Partial<EgressRequest>): Promise<string> => {
    await using egress = egressWithout(off);
    const used = mintPermit({ ...permit(), control: get });
    return (await send(egress.endpoint(network(side.port), BUNDLE), request, used)).error ?? 'sent';
  };
  const wrong: Readonly<Record<string, Partial<EgressRequest>>> = {
    'a prompt': {},
    'another method': { path: get.path },
    'another path': { method: 'GET', path: '/v1/models?say=CANARY', body: null },
  };
  for (const [what, request] of Object.entries(wrong))
    assert.equal(await attempt([], request), 'egress.denied:permit', what);
  assert.deepEqual(seen, []);
  assert.equal(await attempt([], { method: 'GET', path: get.path, body: null }), 'sent');
  for (const request of Object.values(wrong)) assert.equal(await attempt(['permit'], request), 'sent');
  assert.equal(seen.length, 4, 'without the guard every one of them goes out');
});
