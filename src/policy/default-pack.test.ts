import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { AT, ask, decided, outside, sampleEngine, type Variation } from '../../test/support/policy.ts';
import type { Label, ResidencyRecord } from './types.ts';

const C1: Label = { conf: 1, categories: [] };
const PERSONAL: Label = { conf: 1, categories: ['personal'] };
const LOOPBACK = {
  ...outside,
  url: 'http://127.0.0.1:9/v1',
  network: { hosts: ['127.0.0.1'], addresses: ['127.0.0.0/8'], pins: [], issuer: null, proxy: null },
};

function denials(change: Variation, label?: Label): readonly string[] {
  const decision = decided(sampleEngine(change), ask(label === undefined ? {} : { label }));
  return decision.effect === 'allow' ? [] : decision.rules.map((rule) => rule.replace('default/', ''));
}

test('lets c2 go to an endpoint that is wholly known and domestic', () => {
  assert.deepEqual(denials({}), []);
});

test('above-accepts: nothing above what the endpoint accepts, also against a permit of the site', () => {
  assert.deepEqual(denials({}, { conf: 3, categories: [] }), ['above-accepts']);
  const policies = { all: 'permit(principal, action, resource);' };
  assert.deepEqual(denials({ policies }, { conf: 3, categories: [] }), ['above-accepts']);
});

test('record-missing: c1 may go without a record, c2 may not', () => {
  assert.deepEqual(denials({ record: null }, C1), []);
  assert.ok(denials({ record: null }).includes('record-missing'));
});

test('record-expired: c1 may go on an expired or not yet issued record, c2 may not', () => {
  for (const record of [{ expires: AT }, { issued: AT + 1, expires: AT + 2 }]) {
    assert.deepEqual(denials({ record }, C1), []);
    assert.deepEqual(denials({ record }), ['record-expired']);
  }
});

const places = { inference: 'inference', storage: 'storage', logs: 'logs', support: 'support' } as const;
for (const place of Object.values(places))
  test(`${place}-abroad: c2 only where the country is the jurisdiction; unknown is abroad; c1 may go`, () => {
    for (const country of ['US', null]) {
      assert.deepEqual(denials({ record: { [place]: country } }), [`${place}-abroad`]);
      assert.deepEqual(denials({ record: { [place]: country } }, C1), []);
    }
    const abroad = { inference: 'DE', storage: 'DE', logs: 'DE', support: 'DE' };
    assert.deepEqual(denials({ record: abroad, site: { jurisdiction: 'DE' } }), []);
  });

test('sku-not-standard: c2 only with the standard deployment, or none on the own machine', () => {
  for (const sku of ['datazone', 'global', null] as const) {
    assert.deepEqual(denials({ record: { sku } }), ['sku-not-standard']);
    assert.deepEqual(denials({ record: { sku } }, C1), []);
  }
  assert.deepEqual(
    denials({ record: { sku: null }, provider: { url: LOOPBACK.url, network: LOOPBACK.network } }),
    [],
  );
  assert.deepEqual(
    denials({ record: { sku: 'global' }, provider: { url: LOOPBACK.url, network: LOOPBACK.network } }),
    ['sku-not-standard'],
  );
});

test('training-use and abuse-review: c2 only where both are known not to happen', () => {
  for (const value of [true, null]) {
    assert.deepEqual(denials({ record: { training: value } }), ['training-use']);
    assert.deepEqual(denials({ record: { abuseReview: value } }), ['abuse-review']);
    assert.deepEqual(denials({ record: { training: value, abuseReview: value } }, C1), []);
  }
});

test('personal-abroad: personal data of any class goes abroad only on a named legal basis that holds today', () => {
  const abroad: Partial<ResidencyRecord> = { inference: 'US', legalBasis: null };
  assert.deepEqual(denials({ record: abroad }, C1), []);
  for (const category of ['personal', 'special-care', 'my-number', 'health'] as const)
    assert.deepEqual(denials({ record: abroad }, { conf: 1, categories: [category] }), ['personal-abroad']);
  assert.deepEqual(denials({ record: abroad }, { conf: 1, categories: ['source-code'] }), []);
  assert.deepEqual(denials({ record: { ...abroad, legalBasis: 'domestic' } }, PERSONAL), ['personal-abroad']);
  assert.deepEqual(denials({ record: { ...abroad, legalBasis: 'consent' } }, PERSONAL), []);
  assert.deepEqual(denials({ record: { ...abroad, legalBasis: 'consent', expires: AT } }, PERSONAL), [
    'personal-abroad',
  ]);
  assert.deepEqual(denials({ record: null }, PERSONAL), ['personal-abroad']);
  assert.deepEqual(denials({}, PERSONAL), []);
});

test('disconnected: nothing outside the own machine, whatever the label; a proxy is outside', () => {
  const site = { posture: 'disconnected' } as const;
  assert.deepEqual(denials({ site }, C1), ['disconnected']);
  const own = { url: LOOPBACK.url, network: LOOPBACK.network };
  assert.deepEqual(denials({ site, provider: own }), []);
  const proxied = {
    ...outside.network,
    hosts: ['ai.example'],
    addresses: ['127.0.0.0/8'],
    pins: outside.network?.pins ?? [],
  };
  const network = { ...proxied, issuer: null, proxy: 'http://127.0.0.1:3128' };
  assert.deepEqual(denials({ site, provider: { network } }, C1), ['disconnected']);
});

test('the table of the pack names every rule and no other', async () => {
  const table = await readFile(new URL('../../docs/packs/default.md', import.meta.url), 'utf8');
  const named = [...table.matchAll(/^\| `default\/([a-z-]+)`/gm)].map(([, id]) => id ?? '');
  const rules = Object.keys(sampleEngine().bundle.packs['default']?.policies ?? {});
  assert.deepEqual(named.toSorted(), rules.toSorted());
});
