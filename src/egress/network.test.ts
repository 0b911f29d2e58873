import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUNDLE, egressWithout, network, refused, send } from '../../test/support/egress.ts';
import { dnsServer } from '../../test/support/dns-server.ts';
import { httpSide } from '../../test/support/far-side.ts';
import type { EndpointNetwork } from './types.ts';

const PIN = `sha256:${'0'.repeat(64)}`;

async function outcome(facts: Partial<EndpointNetwork>): Promise<string> {
  await using egress = egressWithout([]);
  return await refused(() => egress.endpoint(network(80, facts), BUNDLE));
}

for (const url of [
  'http://2130706434',
  'http://127.2',
  'http://0x7f.2',
  'http://0177.0.0.2',
  'http://①②⑦.⓪.⓪.②',
  'http://127.0.0.2.',
  'http://[::ffff:127.0.0.2]',
  'http://127。0。0。2',
]) {
  test(`guard literal: ${url} is refused even when the address itself is listed`, async () => {
    assert.equal(await outcome({ url, hosts: ['127.0.0.2'] }), 'egress.denied:literal');
    assert.equal(await outcome({ url, hosts: ['jp-a.test'] }), 'egress.denied:literal');
  });
}

test('guard literal: taken out, an odd writing reaches the address', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout(['literal', 'host']);
  const facts = network(side.port, { url: `http://2130706433:${side.port}`, hosts: ['jp-a.test'] });
  assert.equal((await send(egress.endpoint(facts, BUNDLE))).error, null);
  assert.equal(side.connections(), 1);
});

test('guard literal: the one plain writing is good when the record lists it', async () => {
  assert.equal(await outcome({ url: 'http://127.0.0.2:8000', hosts: ['127.0.0.2'] }), 'nothing');
  for (const host of ['::1', '[::1]'])
    assert.equal(
      await outcome({ url: 'http://[::1]:8000', hosts: [host], addresses: ['::1/128'] }),
      'nothing',
      host,
    );
});

for (const url of [
  'https://evil.example',
  'https://api.sakura.test@evil.example',
  'https://api.sakura.test:pw@evil.example',
  'https://user@api.sakura.test',
  'https://evil.example\\@api.sakura.test',
  'https://api.sakura.test\\.evil.example',
  'https://api.sakura.test.evil.example',
  'https://api-sakura.test',
  'https://xn--pi-7ka.sakura.test',
  'https://аpi.sakura.test',
]) {
  test(`guard host: ${url} is not api.sakura.test`, async () => {
    assert.equal(
      await outcome({ url, hosts: ['api.sakura.test'], pins: [], issuer: PIN }),
      'egress.denied:host',
    );
  });
}

test('guard host: case, a final dot and full-width letters are the same name', async () => {
  for (const url of ['https://API.sakura.test', 'https://api.sakura.test.', 'https://ａｐｉ.sakura.test'])
    assert.equal(await outcome({ url, hosts: ['api.Sakura.test'], issuer: PIN }), 'nothing', url);
});

test('guard host: taken out, a name outside the record is asked and connected', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using names = await dnsServer((_, type) => (type === 'A' ? ['127.0.0.1'] : []));
  const facts = network(side.port, { url: `http://evil.test:${side.port}`, hosts: ['jp-a.test'] });
  await using egress = egressWithout([], { resolvers: [names.server] });
  assert.equal(await refused(() => egress.endpoint(facts, BUNDLE)), 'egress.denied:host');
  assert.deepEqual(names.questions, []);
  await using open = egressWithout(['host'], { resolvers: [names.server] });
  assert.equal((await send(open.endpoint(facts, BUNDLE))).error, null);
  assert.equal(side.connections(), 1);
});

test('guard scheme: plain http is for loopback, and nothing but http and https is spoken', async () => {
  const named = { hosts: ['api.sakura.test'] };
  assert.equal(
    await outcome({ ...named, url: 'http://api.sakura.test', addresses: ['163.43.0.0/16'] }),
    'egress.denied:scheme',
  );
  assert.equal(
    await outcome({ ...named, url: 'http://api.sakura.test', addresses: ['127.0.0.0/8', '10.0.0.0/8'] }),
    'egress.denied:scheme',
  );
  for (const url of ['ftp://api.sakura.test', 'ws://api.sakura.test', 'file:///etc/passwd', 'data:,x'])
    assert.equal(await outcome({ ...named, url }), 'egress.denied:scheme', url);
  await using open = egressWithout(['scheme']);
  assert.equal(
    await refused(() =>
      open.endpoint(network(80, { ...named, url: 'http://api.sakura.test', addresses: [] }), BUNDLE),
    ),
    'nothing',
  );
});

test('guard pin: https asks for two pins or an issuer', async () => {
  const https = { url: 'https://api.sakura.test', hosts: ['api.sakura.test'] };
  assert.equal(await outcome(https), 'egress.denied:pin');
  assert.equal(await outcome({ ...https, pins: [PIN] }), 'egress.denied:pin');
  assert.equal(await outcome({ ...https, pins: [PIN, PIN] }), 'egress.denied:pin');
  assert.equal(await outcome({ ...https, pins: [PIN, PIN.replace('0', '1')] }), 'nothing');
  assert.equal(await outcome({ ...https, issuer: PIN }), 'nothing');
});

test('facts that cannot be read are refused', async () => {
  const https = { url: 'https://api.sakura.test', hosts: ['api.sakura.test'], issuer: PIN };
  for (const bad of [
    { url: 'api.sakura.test' },
    { addresses: ['somewhere'] },
    { pins: ['sha256:AB'] },
    { issuer: '' },
    { proxy: 'http://user:pw@proxy.test:8080' },
    { proxy: 'http://proxy.test:8080/path' },
    { proxy: 'socks5://proxy.test:1080' },
    { proxy: 'http://proxy.test' },
    { proxy: 'https://proxy.test:3128' },
    { addresses: ['203.0.113.5/24'] },
  ])
    assert.equal(await outcome({ ...https, ...bad }), 'egress.invalid_network', JSON.stringify(bad));
});
