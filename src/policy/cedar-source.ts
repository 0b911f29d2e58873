import { policySetTextToParts, policyToJson, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

import { Fault } from '../core/fault.ts';
import { policyId } from './bundle-schema.ts';
import { MAX_NESTING, nestingOf } from './cedar-nesting.ts';

/** Of one file; bounds the work of the parser. */
export const MAX_POLICY_CHARS = 32 * 1024;

const RESERVED: ReadonlySet<string> = new Set(['default-deny', 'policy-error']);

/**
 * The policies of one file by their ids. A policy's id is its `@id`; the only policy of a file may do without and is
 * then called as the file is.
 * @throws Fault kind `invalid` code `policy.invalid` naming the file and the problem.
 */
export function splitPolicies(source: string, stem: string): ReadonlyMap<string, string> {
  const where = `${stem}.cedar`;
  checkBounds(source, where);
  const parts = cedar(where, () => policySetTextToParts(source));
  if (parts.type === 'failure') throw invalidPolicy(where, messages(parts.errors));
  if (parts.policy_templates.length > 0) throw invalidPolicy(where, 'templates are not used here');
  const policies = new Map<string, string>();
  for (const text of parts.policies) {
    const id = annotation(parsePolicy(text, where), 'id') ?? (parts.policies.length === 1 ? stem : null);
    if (id === null) throw invalidPolicy(where, 'each policy of a file with several needs an @id');
    if (!policyId.safeParse(id).success)
      throw invalidPolicy(where, `"${id}" is not a policy id, expected a-z 0-9 -`);
    if (RESERVED.has(id)) throw invalidPolicy(where, `"${id}" is reserved`);
    if (policies.has(id)) throw invalidPolicy(where, `"${id}" is there twice`);
    policies.set(id, text);
  }
  return policies;
}

/**
 * One policy's structure.
 * @throws Fault kind `invalid` code `policy.invalid` naming the policy and the problem.
 */
export function parsePolicy(text: string, where: string): PolicyJson {
  checkBounds(text, where);
  const parsed = cedar(where, () => policyToJson(text));
  if (parsed.type === 'failure') throw invalidPolicy(where, messages(parsed.errors));
  return parsed.json;
}

/** The value of an annotation, or null when it is missing or blank. */
export function annotation(policy: PolicyJson, name: string): string | null {
  const value = policy.annotations?.[name];
  return value === undefined || value.trim() === '' ? null : value;
}

/** The Fault for a policy that cannot run. */
export function invalidPolicy(policy: string, problem: string, cause?: unknown): Fault {
  const options = { details: { policy, problem }, ...(cause === undefined ? {} : { cause }) };
  return new Fault('invalid', 'policy.invalid', `policy ${policy}: ${problem}`, options);
}

function checkBounds(text: string, where: string): void {
  if (text.length > MAX_POLICY_CHARS)
    throw invalidPolicy(where, `expected at most ${MAX_POLICY_CHARS} characters`);
  if (nestingOf(text) > MAX_NESTING) throw invalidPolicy(where, 'nested too deeply');
}

/** Calls Cedar, whose bindings throw plain errors for input that they cannot read at all. */
export function cedar<T>(where: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw invalidPolicy(where, cause instanceof Error ? cause.message : 'not readable by Cedar', cause);
  }
}

/** What Cedar says of a failure, in one line. */
export function messages(errors: readonly { message: string; help: string | null }[]): string {
  return errors.map(({ message, help }) => (help === null ? message : `${message} (${help})`)).join('; ');
}
