import { Fault } from '../core/fault.ts';
import type { EndpointDecision, PolicyEngine, PolicyTest } from './types.ts';

const MAX_FAILED = 10;

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

/**
 * Holds a bundle to its own tests.
 * @throws Fault kind `invalid` code `policy.tests` naming those that do not hold.
 */
export function requirePolicyTests(engine: PolicyEngine, now: number): void {
  const failed = runPolicyTests(engine, now).filter(({ problems }) => problems.length > 0);
  if (failed.length === 0) return;
  const shown = failed.slice(0, MAX_FAILED).map(({ name, problems }) => `"${name}": ${problems.join(', ')}`);
  const more = failed.length > shown.length ? `; and ${failed.length - shown.length} more` : '';
  throw new Fault('invalid', 'policy.tests', `policy tests do not hold: ${shown.join('; ')}${more}`);
}

function problemsOf(engine: PolicyEngine, test: PolicyTest, now: number): string[] {
  const answer = engine.label(test.model, test.label);
  if (answer === null) return [`the model ${test.model} does not exist`];
  if (answer.kind === 'downgrade') return ['the label asks for less than the floor'];
  const { purpose, approved = false } = test;
  const needsApproval = purpose !== null && engine.approval(purpose) !== null;
  if (approved && !needsApproval) return ['approved: no approval can be given for this purpose'];
  const { decisions } = engine.plan({
    caller: { id: 'policy-test', tenant: 'policy-test', roles: test.roles },
    action: 'infer',
    model: test.model,
    label: answer.label,
    purpose,
    approved,
    now: test.at ?? now,
  });
  const unknown = [...test.allow, ...Object.keys(test.deny)].filter(
    (id) => !decisions.some(({ endpoint }) => endpoint === id),
  );
  return [
    ...unknown.map((id) => `${id} is not an endpoint of ${test.model}`),
    ...decisions
      .map((decision) => (needsApproval && !approved ? unapproved(decision) : decision))
      .flatMap((decision) => problemsAt(test, decision)),
  ];
}

type Answer = Pick<EndpointDecision, 'endpoint' | 'effect' | 'rules'>;

// Such a request is refused before any rule is looked at.
function unapproved({ endpoint }: EndpointDecision): Answer {
  return { endpoint, effect: 'deny', rules: ['approval-required'] };
}

function problemsAt(test: PolicyTest, { endpoint, effect, rules }: Answer): string[] {
  const expected = test.allow.includes(endpoint) ? 'allow' : 'deny';
  if (effect !== expected)
    return [`${endpoint}: expected ${expected}, found ${effect} by ${rules.join(', ')}`];
  const missing = (test.deny[endpoint] ?? []).filter((rule) => !rules.includes(rule));
  return missing.map((rule) => `${endpoint}: expected denial by ${rule}, found ${rules.join(', ')}`);
}
