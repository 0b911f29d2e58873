import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AT, ask, decided, sampleEngine } from '../../test/support/policy.ts';
import type { Provider } from './types.ts';

const DAY = 86_400_000;
const REASONS = '@reason_ja("理由") @reason_en("why")';
const PERMIT = 'permit(principal, action, resource);';
// Passes strict validation and fails on these facts: the one kind of error that validation cannot exclude.
const OVERFLOW = 'resource.accepts * 9223372036854775807 > 1';

function ownRules(policies: Record<string, string>): ReturnType<typeof sampleEngine> {
  return sampleEngine({ site: { packs: [] }, policies });
}

test('allows what a permit covers, and says where it goes as the record declares', () => {
  const decision = decided(sampleEngine());
  assert.equal(decision.effect, 'allow');
  assert.deepEqual(decision.rules, ['default/within-accepts']);
  assert.deepEqual(decision.reasons, []);
  assert.deepEqual(decision.to, {
    endpoint: 'outside/m',
    operator: 'Domestic K.K.',
    country: 'JP',
    posture: 'public',
    selfDeclared: false,
    expires: AT + 30 * DAY,
  });
});

test('denies by default when no rule permits', () => {
  const decision = decided(ownRules({}));
  assert.equal(decision.effect, 'deny');
  assert.deepEqual(decision.rules, ['default-deny']);
  assert.equal(decision.to, null);
});

test('a forbid that fails to evaluate denies, though Cedar alone would allow', () => {
  const decision = decided(
    ownRules({ a: PERMIT, b: `${REASONS} forbid(principal, action, resource) when { ${OVERFLOW} };` }),
  );
  assert.equal(decision.effect, 'deny');
  assert.deepEqual(decision.rules, ['policy-error']);
  assert.equal(decision.reasons[0]?.policy, 'policy-error');
});

test('a permit that fails to evaluate denies even when another permits', () => {
  const decision = decided(
    ownRules({ a: PERMIT, b: `permit(principal, action, resource) when { ${OVERFLOW} };` }),
  );
  assert.deepEqual(decision.rules, ['policy-error']);
});

test('an error is named together with the rules that forbade', () => {
  const forbid = `${REASONS} forbid(principal, action, resource)`;
  const decision = decided(ownRules({ a: PERMIT, b: `${forbid} when { ${OVERFLOW} };`, c: `${forbid};` }));
  assert.deepEqual(decision.rules, ['policy-error', 'c']);
});

test('does not load a forbid without reasons in both languages', () => {
  const forbid = 'forbid(principal, action, resource);';
  for (const annotations of [
    '',
    '@reason_ja("理由")',
    '@reason_en("why")',
    '@reason_ja("") @reason_en("why")',
  ])
    assert.throws(() => ownRules({ mute: `${annotations} ${forbid}` }), {
      kind: 'invalid',
      code: 'policy.invalid',
      message: 'policy mute: a forbid needs @reason_ja and @reason_en',
    });
});

test('does not load a policy that strict validation refuses, and names it with the problem', () => {
  const broken = {
    'permit(principal, action, resource) when { resource.acepts > 1 };': /accepts/,
    'permit(principal, action, resource) when { resource.inference == "JP" };': /has inference/,
    'permit(principal, action == Action::"train", resource);': /train/,
    'permit(principal == User::"x", action, resource);': /User/,
    'permit(principal, action, resource) when { context.label.conf == "2" };': /./,
    'permit(principal, action, resource) when { ip(resource.kind).isLoopback() };': /./,
    'permit(principal, action': /./,
  };
  for (const [text, problem] of Object.entries(broken))
    assert.throws(
      () => ownRules({ fine: PERMIT, broken: text }),
      (fault: Error) =>
        'code' in fault &&
        fault.code === 'policy.invalid' &&
        /broken/.test(fault.message) &&
        problem.test(fault.message),
      text,
    );
});

test('an unknown model has no decisions and no label', () => {
  const engine = sampleEngine();
  for (const model of ['nope', '__proto__', 'constructor', '']) {
    assert.deepEqual(engine.plan(ask({ model })), { model: 'unknown', decisions: [] });
    assert.equal(engine.label(model, null), null);
  }
});

test('a purpose that the bundle does not list is denied, one that it lists is decided', () => {
  const engine = sampleEngine({ purposes: ['support'] });
  assert.equal(engine.purposeListed('support'), true);
  assert.equal(engine.purposeListed('other'), false);
  assert.deepEqual(decided(engine, ask({ purpose: 'other' })).rules, ['default-deny']);
  assert.equal(decided(engine, ask({ purpose: 'support' })).effect, 'allow');
});

test('facts that are no facts are denied and never thrown', () => {
  const engine = sampleEngine();
  const bad = [
    ask({ now: Number.NaN }),
    ask({ now: 1.5 }),
    ask({ caller: { id: '\ud800', tenant: 't', roles: [] } }),
    ask({ caller: { id: 'k', tenant: 't', roles: ['\udc00'] } }),
    // The type forbids these; a caller that breaks it must still be denied.
    ask({ label: JSON.parse('{"conf":0,"categories":[]}') }),
    ask({ label: JSON.parse('{"conf":2,"categories":["x"]}') }),
  ];
  for (const input of bad)
    assert.deepEqual(decided(engine, input).rules, ['policy-error'], JSON.stringify(input));
  assert.equal(decided(engine).effect, 'allow');
});

test('an allowed decision ends with the record, and with it the memo', () => {
  const engine = sampleEngine({ record: { issued: AT, expires: AT + DAY } });
  const before = decided(engine, ask({ now: AT + DAY - 1 }));
  assert.equal(before.validUntil, AT + DAY);
  assert.equal(decided(engine, ask({ now: AT })).effect, 'allow');
  assert.deepEqual(decided(engine, ask({ now: AT + DAY })).rules, ['default/record-expired']);
  assert.deepEqual(decided(engine, ask({ now: AT - 1 })).rules, ['default/record-expired']);
  assert.equal(decided(engine, ask({ now: AT + 1 })).effect, 'allow');
});

test('a decision ends when evidence that rules may rely on expires', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const evidence = [{ document: 'no-retention', digest, expires: AT + DAY }];
  const engine = sampleEngine({
    record: { evidence },
    policies: {
      zdr: `${REASONS} forbid(principal, action, resource) unless { resource.evidence.contains("no-retention") };`,
    },
  });
  assert.equal(decided(engine).effect, 'allow');
  assert.equal(decided(engine).validUntil, AT + DAY);
  assert.deepEqual(decided(engine, ask({ now: AT + DAY })).rules, ['zdr']);
});

test('remembered decisions are not mixed between callers, labels, purposes and models', () => {
  const engine = sampleEngine({
    purposes: ['b'],
    policies: {
      key: `${REASONS} forbid(principal == Caller::"evil", action, resource);`,
      role: `${REASONS} forbid(principal, action, resource) when { principal.roles.contains("barred") };`,
      tenant: `${REASONS} forbid(principal, action, resource) when { principal.tenant == "evil" };`,
      use: `${REASONS} forbid(principal, action, resource) when { context has purpose && context.purpose == "b" };`,
    },
  });
  const caller = { id: 'k', tenant: 't', roles: ['a'] };
  const expected: [ReturnType<typeof ask>, string][] = [
    [ask({ caller }), 'default/within-accepts'],
    [ask({ caller: { ...caller, id: 'evil' } }), 'key'],
    [ask({ caller: { ...caller, roles: ['a', 'barred'] } }), 'role'],
    [ask({ caller: { ...caller, tenant: 'evil' } }), 'tenant'],
    [ask({ caller, purpose: 'b' }), 'use'],
    [ask({ caller, label: { conf: 3, categories: [] } }), 'default/above-accepts'],
    // Joined without lengths these would read like callers above.
    [ask({ caller: { id: 'k1', tenant: 't', roles: ['a1:barred'] } }), 'default/within-accepts'],
    [ask({ caller: { id: 'k1:t', tenant: '', roles: ['a'] } }), 'default/within-accepts'],
  ];
  for (let round = 0; round < 2; round++)
    for (const [input, rule] of expected) assert.deepEqual(decided(engine, input).rules, [rule]);
});

test('a remembered plan is the same value and cannot be changed', () => {
  const engine = sampleEngine();
  const plan = engine.plan(ask());
  assert.equal(engine.plan(ask()), plan);
  assert.ok(Object.isFrozen(plan.decisions) && Object.isFrozen(plan.decisions[0]?.rules));
});

test('the floor of the model comes before that of the site, and without both it is c3', () => {
  assert.deepEqual(sampleEngine().label('chat', null), { kind: 'label', label: { conf: 1, categories: [] } });
  assert.deepEqual(sampleEngine({ site: { label: null } }).label('chat', null)?.label.conf, 3);
  assert.equal(
    sampleEngine({ site: { label: { conf: 2, categories: [] } } }).label('chat', 'c1')?.kind,
    'downgrade',
  );
  assert.throws(() => sampleEngine().label('chat', 'secret'), { code: 'policy.label' });
});

test('an endpoint without a record is unknown territory: c1 may go, with no declared country', () => {
  const decision = decided(sampleEngine({ record: null }), ask({ label: { conf: 1, categories: [] } }));
  assert.deepEqual(decision.to, {
    endpoint: 'outside/m',
    operator: 'outside',
    country: 'ZZ',
    posture: 'public',
    selfDeclared: false,
    expires: 0,
  });
});

test('a model that this machine runs has the implicit record, marked self-declared', () => {
  const local: Partial<Provider> = { kind: 'llama', url: null, network: null, residency: null };
  const engine = sampleEngine({ provider: local, record: null, site: { posture: 'disconnected' } });
  const { to } = decided(engine);
  assert.deepEqual(
    [to?.operator, to?.country, to?.posture, to?.selfDeclared],
    ['test.example', 'JP', 'disconnected', true],
  );
  assert.equal(engine.endpoint('outside/m')?.network, null);
});

test('endpoints carry the network facts in the shape of the egress room', () => {
  const endpoint = sampleEngine().endpoint('outside/m');
  assert.deepEqual(Object.keys(endpoint?.network ?? {}).sort(), [
    'addresses',
    'endpoint',
    'hosts',
    'issuer',
    'pins',
    'proxy',
    'url',
  ]);
  assert.equal(endpoint?.network?.endpoint, 'outside/m');
  assert.equal(sampleEngine().endpoint('outside/other'), null);
});

test('prints what a decision costs', (context) => {
  const engine = sampleEngine();
  // The least of several rounds: what else runs on the machine only adds.
  const cost = (times: number, decide: (i: number) => void): string => {
    const rounds = Array.from({ length: 5 }, (_, round) => {
      const start = process.cpuUsage();
      for (let i = 0; i < times; i++) decide(round * times + i);
      const used = process.cpuUsage(start);
      return (used.user + used.system) / times;
    });
    return Math.min(...rounds).toFixed(2);
  };
  const input = ask();
  const remembered = cost(20_000, () => engine.plan(input));
  const made = cost(300, (i) =>
    engine.plan(ask({ caller: { id: `k${i}`, tenant: 't', roles: ['caller'] } })),
  );
  context.diagnostic(`policy decision: ${remembered} us remembered, ${made} us made, of CPU time`);
});
