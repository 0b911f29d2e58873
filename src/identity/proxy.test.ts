import assert from 'node:assert/strict';
import { test } from 'node:test';

import { proxyTrust } from './proxy.ts';

const proxies = proxyTrust(['10.0.0.0/8', '2001:db8::/32']);

test('a stranger is the client whatever it claims', () => {
  assert.equal(proxies.client('203.0.113.9', '127.0.0.1'), '203.0.113.9');
  assert.equal(proxyTrust([]).client('127.0.0.1', '198.51.100.1'), '127.0.0.1');
  assert.ok(!proxies.trusts('203.0.113.9') && !proxies.trusts('nonsense'));
});

test('the client is the nearest address that is no proxy', () => {
  assert.equal(proxies.client('10.1.1.1', '198.51.100.7'), '198.51.100.7');
  assert.equal(proxies.client('::ffff:10.1.1.1', '198.51.100.7, 10.2.2.2'), '198.51.100.7');
  assert.equal(proxies.client('10.1.1.1', '127.0.0.1, 198.51.100.7,10.2.2.2'), '198.51.100.7');
  assert.equal(proxies.client('2001:db8::1', '[2001:DC8:0:0::7]:4711'), '2001:dc8::7');
  assert.equal(proxies.client('10.1.1.1', '198.51.100.7:4711'), '198.51.100.7');
  assert.ok(proxies.trusts('::ffff:10.1.1.1'));
});

test('without a usable header the proxy itself is the client', () => {
  for (const header of [undefined, '', 'unknown', '_hidden', '198.51.100.999', 'a'.repeat(100_000), ','])
    assert.equal(proxies.client('10.1.1.1', header), '10.1.1.1');
});

test('nothing left of garbage or beyond the bound of hops is believed', () => {
  assert.equal(proxies.client('10.1.1.1', '198.51.100.7, evil, 10.2.2.2'), '10.2.2.2');
  const long = `198.51.100.7${', 10.2.2.2'.repeat(100_000)}`;
  assert.equal(proxies.client('10.1.1.1', long), '10.2.2.2');
});

test('a prefix that is none is refused', () => {
  assert.throws(() => proxyTrust(['10.0.0.1/8']), TypeError);
});
