import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isLoopback, parseIp, parsePrefix, prefixHas } from './address.ts';

const has = (prefix: string, address: string): boolean => {
  const [outer, inner] = [parsePrefix(prefix), parseIp(address)];
  assert.ok(outer !== null && inner !== null);
  return prefixHas(outer, inner);
};

test('a prefix has exactly the addresses that share its bits', () => {
  assert.ok(has('10.0.0.0/8', '10.255.1.2'));
  assert.ok(!has('10.0.0.0/8', '11.0.0.0'));
  assert.ok(has('0.0.0.0/0', '203.0.113.9'));
  assert.ok(has('2001:db8::/32', '2001:db8:1::1'));
  assert.ok(!has('2001:db8::/32', '2001:db9::'));
  assert.ok(has('192.0.2.7/32', '192.0.2.7'));
  assert.ok(!has('::/0', '192.0.2.7'));
});

test('an IPv4 address written as IPv6 is the IPv4 address', () => {
  assert.ok(has('127.0.0.0/8', '::ffff:127.0.0.1'));
  assert.ok(has('127.0.0.0/8', '::ffff:7f00:1'));
});

test('loopback is 127.0.0.0/8 and ::1', () => {
  for (const text of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1']) {
    const address = parseIp(text);
    assert.ok(address !== null && isLoopback(address), text);
  }
  for (const text of ['128.0.0.1', '::', '::2', '10.0.0.1']) {
    const address = parseIp(text);
    assert.ok(address !== null && !isLoopback(address), text);
  }
});

test('refuses every other spelling of an address', () => {
  for (const text of [
    '',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '127.0.0.01',
    '256.0.0.1',
    '127.0.0.1 ',
    '1.2.3.4.5',
    '::1%lo',
    '[::1]',
    '1::2::3',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    '1.2.3.4::',
    'g::1',
    '::ffff:1.2.3.256',
  ]) {
    assert.equal(parseIp(text), null, text);
  }
});

test('refuses a prefix with host bits, without length, or too long', () => {
  for (const text of ['10.0.0.1/8', '10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/08', '10.0.0.0/8/8', '/8'])
    assert.equal(parsePrefix(text), null, text);
});
