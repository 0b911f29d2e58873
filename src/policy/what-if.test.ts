import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ask, AT, sampleEngine, type Variation } from '../../test/support/policy.ts';
import { factsOf, replay, replayer, type DecisionFacts, type MadeDecision } from './replay.ts';
import type { EndpointDecision, ListedPurpose } from './types.ts';
import { whatIf, type CountedFacts } from './what-if.ts';

const made: MadeDecision = {
  rid: 'r_1',
  t: AT,
  bundle: 'sha256:0',
  model: 'chat',
  header: ' c2 , personal',
  label: { conf: 2, categories: ['personal'] },
  purpose: null,
  unlisted: false,
  approved: false,
  caller: { id: 'k_1', tenant: 'o_1', roles: ['owner', 'caller'] },
  endpoint: 'outside/m',
};

function factsWith(change: Partial<DecisionFacts> = {}): DecisionFacts {
  return { ...factsOf({ ...made, header: null, label: { conf: 1, categories: [] } }), ...change };
}

function counted(sets: readonly (readonly [DecisionFacts, number])[]): CountedFacts[] {
  return sets.map(([facts, count], index) => ({ id: `f${index}`, facts, count }));
}

function compare(
  given: Variation,
  sets: readonly (readonly [DecisionFacts, number])[],
  running: Variation = {},
) {
  return whatIf({ running: sampleEngine(running), given: sampleEngine(given) }, counted(sets), AT);
}

test('facts hold the label in its own form and neither the key nor the request', () => {
  assert.deepEqual(factsOf(made), {
    model: 'chat',
    asked: 'c2,personal',
    label: 'c2,personal',
    purpose: null,
    unlisted: false,
    approved: false,
    tenant: 'o_1',
    roles: ['caller', 'owner'],
  });
});

test('the same bundle changes nothing', () => {
  const answer = compare({}, [
    [factsWith(), 7],
    [factsWith({ asked: 'c3' }), 2],
  ]);
  assert.deepEqual([answer.decisions, answer.changed, answer.groups], [9, 0, []]);
});

test('a record that moves abroad changes what is above c1, and says from where to what by which rule', () => {
  const sets = [
    [factsWith(), 4000],
    [factsWith({ asked: 'c2', label: 'c2' }), 10],
    [factsWith({ asked: 'c2', label: 'c2', roles: ['caller'] }), 2],
    [factsWith({ asked: 'c3', label: 'c3' }), 19],
  ] as const;
  const answer = compare({ record: { inference: 'US' } }, sets);
  assert.deepEqual([answer.decisions, answer.changed], [4031, 12]);
  assert.deepEqual(answer.groups, [
    {
      model: 'chat',
      label: 'c2',
      purpose: null,
      from: { effect: 'allow', endpoint: 'outside/m', rules: ['default/within-accepts'] },
      to: { effect: 'deny', endpoint: null, rules: ['default/inference-abroad'] },
      count: 12,
      sets: ['f1', 'f2'],
    },
  ]);
});

test('another floor is applied to what was asked, not to the label that held', () => {
  const strict = { site: { label: { conf: 3, categories: [] } } } as const;
  assert.equal(compare(strict, [[factsWith(), 5]]).changed, 5, 'without a header the floor holds');
  const [group] = compare(strict, [[factsWith({ asked: 'c2', label: 'c2' }), 1]]).groups;
  assert.deepEqual(group?.to.rules, ['label-downgrade']);
  const lower = replay(replayer(sampleEngine(), new Map()), factsWith({ asked: null, label: 'c3' }), AT);
  assert.equal(lower.effect, 'allow', 'a label that only the old floor held falls with it');
});

test('what is refused before any rule: a model, a purpose, an approval', () => {
  const engine = sampleEngine({
    purposes: [
      'listed',
      { id: 'care', title: { ja: '介護', en: 'care' }, approval: { role: 'owner', hours: 1 } },
    ],
  });
  const rules = (change: Partial<DecisionFacts>): readonly string[] =>
    replay(replayer(engine, new Map()), factsWith(change), AT).rules;
  assert.deepEqual(rules({ model: 'gone' }), ['unknown-model']);
  assert.deepEqual(rules({ purpose: 'other' }), ['unknown-purpose']);
  assert.deepEqual(rules({ unlisted: true }), ['unknown-purpose']);
  assert.deepEqual(rules({ purpose: 'care' }), ['approval-required']);
  assert.deepEqual(rules({ purpose: 'care', approved: true }), ['default/within-accepts']);
  assert.deepEqual(rules({ purpose: 'listed' }), ['default/within-accepts']);
});

test('a bundle that no longer asks for an approval does not find one either', () => {
  const policies = {
    unapproved: `@reason_ja("承認")@reason_en("approval")
      forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
      unless { context.approved };`,
  };
  const facts = factsWith({ purpose: 'care', approved: true });
  const asking = {
    id: 'care',
    title: { ja: '介護', en: 'care' },
    approval: { role: 'owner', hours: 1 },
  } as const;
  const under = (purposes: readonly ListedPurpose[]): readonly string[] =>
    replay(replayer(sampleEngine({ policies, purposes }), new Map()), facts, AT).rules;
  assert.deepEqual(under([asking]), ['default/within-accepts']);
  assert.deepEqual(under(['care']), ['unapproved']);
});

test('a rule that names a single key is told, for facts do not hold the key', () => {
  const policies = {
    'own-key': `@reason_ja("鍵")@reason_en("key")
      forbid (principal == Caller::"k_1", action == Action::"infer", resource is Endpoint);`,
  };
  assert.deepEqual(compare({ policies }, [[factsWith(), 1]]).inexact, ['own-key']);
  assert.deepEqual(compare({}, [[factsWith(), 1]]).inexact, []);
});

test('what two bundles say alike is decided once, and facts that no rule reads tell no decisions apart', () => {
  const held = new Map<string, EndpointDecision>();
  const engines = [
    sampleEngine(),
    sampleEngine({ purposes: [] }),
    sampleEngine({ record: { sku: 'global' } }),
  ];
  const [first, same, other] = engines.map((engine) => replayer(engine, held));
  assert.ok(first !== undefined && same !== undefined && other !== undefined);
  for (const tenant of ['o_1', 'o_2']) replay(first, factsWith({ tenant }), AT);
  replay(same, factsWith({ roles: ['owner'] }), AT);
  assert.equal(held.size, 1);
  replay(other, factsWith(), AT);
  replay(first, factsWith({ asked: 'c2', label: 'c2' }), AT);
  assert.equal(held.size, 3, 'another record and another label are decided for themselves');
});

test('a rule that reads the organisation or the roles is asked for each, however it spells them', () => {
  for (const spelling of ['principal.tenant == "o_2"', String.raw`principal["ten\u{61}nt"] == "o_2"`]) {
    const policies = {
      'own-org': `@reason_ja("組織")@reason_en("organisation")
        forbid (principal is Caller, action == Action::"infer", resource is Endpoint) when { ${spelling} };`,
    };
    const sets = [
      [factsWith(), 3],
      [factsWith({ tenant: 'o_2' }), 4],
    ] as const;
    assert.equal(compare({ policies }, sets).changed, 4, spelling);
  }
});

test('a replay says what the engine says, at each of several endpoints, for every label', () => {
  const engine = sampleEngine({ record: { logs: 'US' } });
  const each = replayer(engine, new Map());
  for (const label of ['c1', 'c2', 'c3', 'c1,personal', 'c2,health', 'c3,my-number,personal']) {
    const answer = engine.label('chat', label);
    assert.ok(answer !== null);
    const [decision] = engine.plan(ask({ label: answer.label })).decisions;
    const replayed = replay(each, factsWith({ asked: label, label }), AT);
    assert.deepEqual(
      [replayed.effect, replayed.rules],
      [decision?.effect, decision?.rules.toSorted()],
      label,
    );
  }
});
