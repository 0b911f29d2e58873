import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hostAllowed } from './host.ts';

const hosts = ['sekisho.bank.example', '10.0.0.5', '2001:db8::5'];

test('loopback names are allowed with nothing listed, with any port', () => {
  for (const host of ['localhost', 'LOCALHOST:8420', '127.0.0.1', '127.9.8.7:1', '[::1]', '[::1]:8420'])
    assert.ok(hostAllowed(host, { hosts: [] }), host);
});

test('listed names and addresses are allowed in any spelling of case', () => {
  for (const host of ['sekisho.bank.example', 'Sekisho.Bank.Example:443', '10.0.0.5:80', '[2001:DB8:0::5]'])
    assert.ok(hostAllowed([host], { hosts }), host);
});

test('other names, also those that resolve to this machine, are refused', () => {
  for (const host of [
    'attacker.example',
    'localhost.attacker.example',
    'sekisho.bank.example.attacker.example',
    'localhost.',
    '10.0.0.6',
    '0.0.0.0',
    '[::]',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
  ])
    assert.ok(!hostAllowed(host, { hosts }), host);
});

test('a missing, repeated or malformed Host is refused', () => {
  for (const host of [
    undefined,
    [],
    '',
    ['localhost', 'localhost'],
    'localhost, localhost',
    'user@localhost',
    'localhost/',
    'http://localhost',
    'localhost:',
    'localhost:http',
    'localhost:65536',
    'localhost:000080',
    ' localhost',
    'localhost\t',
    '::1',
    '[::1',
    '[localhost]',
    '[::1]x',
    'ｌocalhost',
    'a'.repeat(1_000_000),
    '[127.0.0.1]',
  ])
    assert.ok(!hostAllowed(host, { hosts }), String(host).slice(0, 40));
});
