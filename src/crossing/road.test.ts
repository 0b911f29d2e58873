import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSite } from '../../test/support/ledger-site.ts';
import type { EndpointDecision } from '../policy/types.ts';
import { BundleGate } from './bundle-gate.ts';
import { Road } from './road.ts';

const BUNDLE = `sha256:${'0'.repeat(64)}`;

function decision(endpoint: string, effect: 'allow' | 'deny'): EndpointDecision {
  const to = {
    endpoint,
    operator: 'o',
    country: 'JP',
    posture: 'public',
    selfDeclared: false,
    expires: 1,
  } as const;
  return { endpoint, record: BUNDLE, effect, rules: [], reasons: [], validUntil: 1, to };
}

test('whoever chooses, an endpoint that policy did not allow for this request gets no permit and no leaf', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const [legal, denied] = [decision('a/m', 'allow'), decision('x/m', 'deny')];
  const road = new Road(ledger, {
    rid: 'r_00000000000000000000000001',
    surface: 'openai',
    action: 'infer',
    model: 'chat',
    caller: { id: 'key_1', tenant: 'org_1', roles: ['caller'] },
    label: { conf: 1, categories: [] },
    purpose: null,
    input: Buffer.from('in'),
    bundle: BUNDLE,
    gate: new BundleGate(BUNDLE),
    considered: [denied, legal],
  });
  const before = ledger.size();
  for (const planted of [denied, decision('y/m', 'allow'), { ...denied, effect: 'allow' as const }])
    await assert.rejects(road.attempt(planted, Buffer.from('out')), { code: 'crossing.not_allowed' });
  assert.equal(ledger.size(), before);
  await road.attempt(legal, Buffer.from('out'));
  assert.equal(ledger.size(), before + 1);
});
