import type { EndpointDecision, PolicyEngine, PolicyTest } from './types.ts';

/** What one policy test showed; `problems` is empty when it held. */
export interface PolicyTestResult {
  readonly name: string;
  readonly problems: readonly string[];
}

/**
 * Runs the tests of the engine's bundle; `now` (ms since 1970) serves those that name no time.
 * An endpoint that a test does not name must not be allowed.
 */
export function runPolicyTests(engine: PolicyEngine, now: number): PolicyTestResult[] {
  return engine.bundle.tests.map((test) => ({ name: test.name, problems: problemsOf(engine, test, now) }));
}

function problemsOf(engine: PolicyEngine, test: PolicyTest, now: number): string[] {
  const answer = engine.label(test.model, test.label);
  if (answer === null) return [`the model ${test.model} does not exist`];
  if (answer.kind === 'downgrade') return ['the label asks for less than the floor'];
  const { decisions } = engine.plan({
    caller: { id: 'policy-test', tenant: 'policy-test', roles: test.roles },
    action: 'infer',
    model: test.model,
    label: answer.label,
    purpose: test.purpose,
    approved: test.approved ?? false,
    now: test.at ?? now,
  });
  const unknown = [...test.allow, ...Object.keys(test.deny)].filter(
    (id) => !decisions.some(({ endpoint }) => endpoint === id),
  );
  return [
    ...unknown.map((id) => `${id} is not an endpoint of ${test.model}`),
    ...decisions.flatMap((decision) => problemsAt(test, decision)),
  ];
}

function problemsAt(test: PolicyTest, { endpoint, effect, rules }: EndpointDecision): string[] {
  const expected = test.allow.includes(endpoint) ? 'allow' : 'deny';
  if (effect !== expected)
    return [`${endpoint}: expected ${expected}, found ${effect} by ${rules.join(', ')}`];
  const missing = (test.deny[endpoint] ?? []).filter((rule) => !rules.includes(rule));
  return missing.map((rule) => `${endpoint}: expected denial by ${rule}, found ${rules.join(', ')}`);
}
