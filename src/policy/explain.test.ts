import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ask, AT, outside, sampleEngine, type Variation } from '../../test/support/policy.ts';
import { explain, type Way } from './explain.ts';
import type { DecisionInput } from './types.ts';

const ROLES = ['caller', 'owner', 'auditor'];

const pause = async (): Promise<void> => undefined;

async function waysOf(change: Variation, input: Partial<DecisionInput> = {}): Promise<readonly Way[]> {
  const engine = sampleEngine(change);
  const { endpoints } = await explain({ engine, input: ask(input), roles: ROLES, pause });
  assert.equal(endpoints.length, 1);
  assert.equal(endpoints[0]?.decision.effect, 'deny');
  return endpoints[0].ways;
}

function facts(ways: readonly Way[]): string[] {
  return ways.map(({ changes }) => changes.map(({ fact, to }) => `${fact}=${to}`).join('+'));
}

test('an allowed endpoint needs no way, an unknown model has no endpoints', async () => {
  const engine = sampleEngine();
  const { endpoints } = await explain({ engine, input: ask(), roles: ROLES, pause });
  const [allowed] = endpoints;
  assert.deepEqual([allowed?.decision.effect, allowed?.ways], ['allow', []]);
  const none = await explain({ engine, input: ask({ model: 'nothing' }), roles: ROLES, pause });
  assert.deepEqual(none, { model: 'unknown', endpoints: [] });
});

test('one changed fact: the label, or what the endpoint accepts', async () => {
  const ways = await waysOf({}, { label: { conf: 3, categories: [] } });
  assert.deepEqual(facts(ways), ['label=c2', 'label=c1', 'accepts=c3']);
  assert.deepEqual(
    ways.map(({ scope }) => scope),
    ['request', 'request', 'governance'],
  );
});

test('one changed fact of the record: each alone, with words in both languages', async () => {
  const abroad = await waysOf({ record: { inference: 'US' } });
  assert.deepEqual(facts(abroad), ['label=c1', 'inference=JP']);
  assert.match(abroad[1]?.changes[0]?.ja ?? '', /推論の国/);
  assert.match(abroad[1]?.changes[0]?.en ?? '', /country of inference \(inference\): JP/);
  assert.deepEqual(facts(await waysOf({ record: { sku: 'global' } })), ['label=c1', 'sku=standard']);
  assert.deepEqual(facts(await waysOf({ record: { training: null } })), ['label=c1', 'training=false']);
});

test('an expired record: that it be renewed; a missing one: that there be one', async () => {
  assert.deepEqual(facts(await waysOf({ record: { expires: AT - 1 } })), ['label=c1', 'current=true']);
  assert.deepEqual(facts(await waysOf({ record: null })), ['label=c1', 'record=JP']);
});

test('a purpose that a rule wants, and a role', async () => {
  const policies = {
    'own-purpose': `@reason_ja("用途")@reason_en("purpose")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
      unless { context has purpose && context.purpose == "research" };`,
  };
  assert.deepEqual(facts(await waysOf({ policies, purposes: ['care', 'research'] })), ['purpose=research']);
  const owners = {
    'own-role': `@reason_ja("役割")@reason_en("role")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
      unless { principal.roles.contains("owner") };`,
  };
  assert.deepEqual(facts(await waysOf({ policies: owners })), ['role owner=owner']);
});

test('an approval: that it be given, or where none can be, that the bundle ask for one', async () => {
  const approval = { role: 'owner', hours: 8 } as const;
  const care = { id: 'care', title: { ja: '診療', en: 'care' }, approval };
  const policies = {
    'own-approval': `@reason_ja("承認")@reason_en("approval")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
      unless { context.approved };`,
  };
  const purposes = [care, 'support'];
  const given = await waysOf({ policies, purposes }, { purpose: 'care' });
  assert.deepEqual(facts(given), ['approved=true']);
  assert.match(given[0]?.changes[0]?.en ?? '', /by a key with the role owner/);
  const plain = await waysOf({ policies, purposes }, { purpose: 'support' });
  assert.deepEqual(facts(plain), ['purpose=care', 'approved=true']);
  assert.deepEqual(
    plain.map(({ scope }) => scope),
    ['request', 'governance'],
  );
  assert.match(plain[0]?.changes[0]?.ja ?? '', /役割 owner の鍵による承認が要る/);
  assert.deepEqual(facts(await waysOf({ policies, purposes })), ['purpose=care']);
  assert.deepEqual(await waysOf({ policies }), [], 'without a listed purpose nothing can be approved');
});

test('two facts where one is not enough, and no pair with a fact that it does not need', async () => {
  const ways = await waysOf({ record: { inference: 'US', storage: 'US' } });
  assert.deepEqual(facts(ways), ['label=c1', 'inference=JP+storage=JP']);
});

test('more than two facts: the largest change with everything taken out that is not needed', async () => {
  const record = { inference: 'US', storage: 'US', logs: 'US', support: 'US', training: true };
  const ways = facts(await waysOf({ record, provider: { models: outside.models } }));
  assert.deepEqual(ways, ['label=c1', 'inference=JP+storage=JP+logs=JP+support=JP+training=false']);
});

test('one change of the request and one of governance where neither is enough alone', async () => {
  const policies = {
    'own-both': `@reason_ja("両方")@reason_en("both")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
      unless { principal.roles.contains("owner") && resource has sku && resource.sku == "standard" };`,
  };
  const ways = await waysOf({ policies, record: { sku: 'global' } }, { label: { conf: 1, categories: [] } });
  assert.deepEqual(facts(ways), ['role owner=owner+sku=standard']);
  assert.deepEqual(ways[0]?.scope, 'both');
});

test('personal data abroad: the category, the country or the legal basis', async () => {
  const ways = await waysOf(
    { record: { inference: 'US', legalBasis: null } },
    { label: { conf: 1, categories: ['personal'] } },
  );
  assert.deepEqual(facts(ways).slice(0, 2), ['categories=none', 'inference=JP']);
  assert.ok(facts(ways).includes('legalBasis=consent'));
  assert.ok(!facts(ways).includes('legalBasis=domestic'), 'the rule does not take this one');
});

test('a disconnected site: connected, or on its own machine', async () => {
  assert.deepEqual(facts(await waysOf({ site: { posture: 'disconnected' } })), [
    'site.posture=private',
    'ownMachine=true',
  ]);
});

test('no way is claimed where a rule denies whatever the facts are', async () => {
  const policies = {
    never: `@reason_ja("常に拒否")@reason_en("never")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint);`,
  };
  assert.deepEqual(await waysOf({ policies }), []);
});

test('looking for ways leaves the engine as it was', async () => {
  const engine = sampleEngine({ record: { inference: 'US', logs: null, sku: 'global' } });
  const before = engine.plan(ask()).decisions[0]?.effect;
  await explain({ engine, input: ask(), roles: ROLES, pause });
  assert.deepEqual(
    [before, engine.plan(ask()).decisions[0]?.effect],
    ['deny', 'deny'],
    'nothing supposed stays',
  );
});
