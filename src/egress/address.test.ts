import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from '../../test/support/egress.ts';
import { INSIDE, LOOPBACK, PUBLIC, parsePrefixes } from './address.ts';

test('an address counts as what it leads to, however it is written', () => {
  const ten = parsePrefixes(['10.0.0.0/8']);
  for (const address of [
    '10.1.2.3',
    '::ffff:10.1.2.3',
    '::ffff:a01:203',
    '::ffff:0:10.1.2.3',
    '64:ff9b::10.1.2.3',
    '64:ff9b::a01:203',
    '2002:a01:203::1',
    '::10.1.2.3',
  ])
    assert.ok(ten.has(address), address);
});

test('an embedded address does not hide in a wide IPv6 prefix', () => {
  const six = parsePrefixes(['::/0']);
  for (const address of [
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '::127.0.0.1',
    '::ffff:0:7f00:1',
    '64:ff9b:1::7f00:1',
    '2001::7f00:1',
  ])
    assert.ok(!six.has(address), address);
  assert.ok(six.has('2400:8500::1'));
  assert.ok(six.has('::1'));
});

test('what is no plain address is in no prefix', () => {
  const all = parsePrefixes(['0.0.0.0/0', '::/0']);
  for (const text of [
    '',
    '1',
    '127.1',
    '0x7f.0.0.1',
    '2130706433',
    '010.0.0.1',
    'fe80::1%eth0',
    'a.test',
    '1.2.3.4 ',
  ])
    assert.ok(!all.has(text), text);
});

test('a prefix covers its own addresses and no other', () => {
  const some = parsePrefixes(['192.0.2.128/25', '2400:8500:1::/48', '203.0.113.7/32']);
  assert.ok(some.has('192.0.2.128') && some.has('192.0.2.255') && !some.has('192.0.2.127'));
  assert.ok(some.has('2400:8500:1:ffff::1') && !some.has('2400:8500:2::'));
  assert.ok(some.has('203.0.113.7') && !some.has('203.0.113.6'));
  assert.ok(!parsePrefixes([]).has('127.0.0.1'));
});

test('prefixes lie within others only when all of each does', () => {
  assert.ok(parsePrefixes(['127.0.0.1/32', '::1/128']).within(LOOPBACK));
  assert.ok(!parsePrefixes(['127.0.0.0/7'.replace('127', '126')]).within(LOOPBACK));
  assert.ok(!parsePrefixes(['0.0.0.0/0']).within(LOOPBACK));
});

test('malformed prefixes are refused', async () => {
  for (const text of [
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    'x/8',
    '::/129',
    '',
  ])
    assert.equal(await refused(() => parsePrefixes([text])), 'egress.invalid_network', text);
});

test('inside and public share nothing', () => {
  for (const address of ['127.0.0.1', '10.0.0.1', '172.31.0.1', '192.168.1.1', '::1', 'fd00::1'])
    assert.ok(INSIDE.has(address) && !PUBLIC.has(address), address);
  for (const address of [
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '255.255.255.255',
    'fe80::1',
    '2001:db8::1',
  ])
    assert.ok(!INSIDE.has(address) && !PUBLIC.has(address), address);
  for (const address of ['8.8.8.8', '163.43.1.1', '2400:8500::1'])
    assert.ok(PUBLIC.has(address) && !INSIDE.has(address), address);
});
