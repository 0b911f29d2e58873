import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkProblems } from '../src/policy/network.ts';
import type { ProviderNetwork } from '../src/policy/types.ts';
import { BUNDLE, egressWithout, network, refused } from './support/egress.ts';

const PIN = `sha256:${'0'.repeat(64)}`;

async function connects(record: ProviderNetwork & { readonly url: string }): Promise<boolean> {
  await using egress = egressWithout([]);
  return (await refused(() => egress.endpoint(network(80, record), BUNDLE))) === 'nothing';
}

test('whatever can be signed can be connected: both read a record with the same functions', async () => {
  const https = { url: 'https://ai.example/v1', hosts: ['ai.example'], pins: [], issuer: PIN };
  const good = { ...https, addresses: ['203.0.113.0/24'], proxy: null };
  const records = [
    good,
    ...['http://p:80', 'http://p:3128/', 'http://p', 'https://p:3128', 'http://[::1]:3128'].map((proxy) => ({
      ...good,
      proxy,
    })),
    ...['203.0.113.5/24', '203.0.113.0/24', '2001:db8::1/64'].map((prefix) => ({
      ...good,
      addresses: [prefix],
    })),
    ...['[::1]', '::1', '0:0:0:0:0:0:0:1'].map((host) => ({
      ...good,
      url: 'https://[::1]:8000',
      hosts: [host],
    })),
  ];
  for (const record of records) {
    const signed = networkProblems(record.url, record).length === 0;
    assert.equal(await connects(record), signed, JSON.stringify(record));
  }
});
