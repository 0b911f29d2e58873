import assert from 'node:assert/strict';
import { test } from 'node:test';

import { proxyTrust } from './proxy.ts';

test('a peer is a proxy by its address alone, IPv4 also where it is written as IPv6', () => {
  const proxies = proxyTrust(['10.0.0.0/8', '2001:db8::/32']);
  for (const peer of ['10.1.1.1', '::ffff:10.1.1.1', '2001:db8::1']) assert.ok(proxies.trusts(peer), peer);
  for (const peer of ['203.0.113.9', '2001:db9::1', 'nonsense', '', '10.1.1.1, 10.2.2.2'])
    assert.ok(!proxies.trusts(peer), peer);
  assert.ok(!proxyTrust([]).trusts('127.0.0.1'));
});

test('a prefix that is none is refused', () => {
  assert.throws(() => proxyTrust(['10.0.0.1/8']), TypeError);
});
