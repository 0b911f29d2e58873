import assert from 'node:assert/strict';
import { test } from 'node:test';

import { networkProblems, staysOnMachine } from './network.ts';
import type { ProviderNetwork } from './types.ts';

const PINS = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
const good: ProviderNetwork = {
  hosts: ['ai.example'],
  addresses: ['203.0.113.0/24', '2001:db8::/32'],
  pins: PINS,
  issuer: null,
  proxy: null,
};
const loopback: ProviderNetwork = { ...good, hosts: ['127.0.0.1'], addresses: ['127.0.0.0/8'], pins: [] };

function problems(change: Partial<ProviderNetwork>, url = 'https://ai.example/v1'): string {
  return networkProblems(url, { ...good, ...change }).join('; ');
}

test('accepts two pins, or an issuer, or plain http on loopback', () => {
  assert.equal(problems({}), '');
  assert.equal(problems({ pins: [], issuer: PINS[0] ?? null }), '');
  assert.deepEqual(networkProblems('http://127.0.0.1:9101/v1', loopback), []);
  assert.deepEqual(
    networkProblems('http://[::1]:9/', { ...loopback, hosts: ['[::1]'], addresses: ['::1/128'] }),
    [],
  );
});

test('an IPv6 host is listed with or without its brackets, and in its one spelling', () => {
  const facts = (host: string): ProviderNetwork => ({ ...loopback, hosts: [host], addresses: ['::1/128'] });
  for (const host of ['[::1]', '::1'])
    assert.deepEqual(networkProblems('http://[::1]:8000', facts(host)), []);
  for (const host of ['0:0:0:0:0:0:0:1', '127.0.0.1', 'x@[::1]', '[::1]:8000'])
    assert.match(networkProblems('http://[::1]:8000', facts(host)).join(), /network\.hosts/, host);
});

test('refuses https without two different pins or an issuer', () => {
  assert.match(problems({ pins: [] }), /network\.pins/);
  assert.match(problems({ pins: PINS.slice(0, 1) }), /network\.pins/);
  assert.match(problems({ pins: [PINS[0] ?? '', PINS[0] ?? ''] }), /2 different pins/);
  assert.match(problems({ issuer: PINS[0] ?? null }), /found both/);
});

test('refuses plain http anywhere but on loopback', () => {
  const plain = { ...good, pins: [] };
  assert.match(networkProblems('http://ai.example/v1', plain).join(), /loopback/);
  assert.match(
    networkProblems('http://127.0.0.1/', { ...loopback, addresses: ['203.0.113.0/24'] }).join(),
    /loopback/,
  );
  assert.match(
    networkProblems('http://127.0.0.1/', { ...loopback, addresses: ['127.0.0.0/8', '10.0.0.0/8'] }).join(),
    /loopback/,
  );
  assert.match(
    networkProblems('http://127.0.0.1/', { ...loopback, proxy: 'http://127.0.0.1:3128' }).join(),
    /loopback/,
  );
  assert.match(networkProblems('http://127.0.0.1/', { ...loopback, pins: PINS }).join(), /no certificate/);
});

test('refuses addresses that check nothing or cannot be read', () => {
  for (const prefix of ['0.0.0.0/0', '10.0.0.0/7', '::/0', '2000::/3', '64::/15'])
    assert.match(problems({ addresses: [prefix] }), /wider than/, prefix);
  const unreadable = [
    '203.0.113.1',
    '203.0.113.0/33',
    '203.0.113/24',
    '203.0.113.256/32',
    '0313.0.0.0/8',
    '2001:db8::/129',
    '203.0.113.5/24',
    '2001:db8::1/32',
  ];
  for (const prefix of [...unreadable, '1.2.3.4/08', 'ai.example/24', '::zz/64', '', '2001:db8::]/64'])
    assert.match(problems({ addresses: [prefix] }), /expected a prefix/, prefix);
  assert.match(problems({ addresses: [] }), /at least one prefix/);
});

test('refuses a url that names another host than it shows, or one that is not listed', () => {
  const disguised = [
    'https://2130706434/',
    'https://127.1/',
    'https://１27.0.0.1/',
    'https://ai.example./v1',
    'https://AI.example/v1',
    'https://ai.example@evil.example/',
    'https://evil.example\\@ai.example/',
    'https://ai.example/v1?to=evil',
    'https://ai.example/v1#x',
    'https://ai.example/%2e%2e/x',
    'https://evil.example/v1',
    'ftp://ai.example/',
    'file:///etc/passwd',
    'ai.example',
    ' https://ai.example',
    '',
  ];
  for (const url of disguised) assert.notEqual(problems({}, url), '', url);
});

test('refuses a proxy with credentials, a path, or another scheme', () => {
  for (const proxy of ['http://proxy.bank.example:3128', 'http://proxy:80', 'http://[::1]:3128/'])
    assert.equal(problems({ proxy }), '', proxy);
  for (const proxy of [
    'http://u:p@proxy:1',
    'http://proxy:1/path',
    'socks5://proxy:1',
    'proxy:1',
    'http://proxy/?a',
    'http://proxy',
    'https://proxy:3128',
    'http://proxy:0',
    'http://proxy:70000',
  ])
    assert.match(problems({ proxy }), /network\.proxy/, proxy);
});

test('only loopback addresses without a proxy stay on the machine', () => {
  assert.equal(staysOnMachine(loopback), true);
  for (const change of [
    { proxy: 'http://127.0.0.1:1' },
    { addresses: [] },
    { addresses: ['127.0.0.0/8', '::1/127'] },
  ])
    assert.equal(staysOnMachine({ ...loopback, ...change }), false);
});
