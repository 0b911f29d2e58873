import { preparsePolicySet, statefulIsAuthorized, validate } from '@cedar-policy/cedar-wasm/nodejs';

import { annotation, cedar, invalidPolicy, messages, parsePolicy } from './cedar-source.ts';
import type { CedarQuestion } from './facts.ts';
import type { Bundle, Reason } from './types.ts';
import { vocabulary } from './vocabulary.ts';

/** What Cedar said; `error` when any policy failed on these facts, whatever the other policies said. */
export interface Verdict {
  readonly effect: 'allow' | 'deny' | 'error';
  /** The policies that determined it, sorted; those that failed are not among them. */
  readonly policies: readonly string[];
}

/** The policies of one bundle, parsed and validated. */
export interface PolicySet {
  /** By policy id, for every forbid. */
  readonly reasons: ReadonlyMap<string, Reason>;
  evaluate(question: CedarQuestion): Verdict;
}

/**
 * Parses and strictly validates the bundle's packs and own policies.
 * @throws Fault kind `invalid` code `policy.invalid` naming the policy and the problem.
 */
export function loadPolicySet(bundle: Bundle, hash: string): PolicySet {
  const policies = policiesOf(bundle);
  const reasons = new Map<string, Reason>();
  for (const [id, text] of Object.entries(policies)) {
    const reason = reasonOf(id, text);
    if (reason !== null) reasons.set(id, reason);
  }
  checkAgainst(vocabulary(), policies);
  // Cedar keeps what it has parsed under a name for the life of the process: the same content, the same name.
  const parsed = cedar('set', () => preparsePolicySet(hash, { staticPolicies: policies }));
  if (parsed.type === 'failure') throw invalidPolicy('set', messages(parsed.errors));
  return { reasons, evaluate: (question) => evaluate(question, hash) };
}

/** Every policy of a bundle by the id that decisions name: `<pack>/<id>` for packs, `<id>` for the site's own. */
export function policiesOf(bundle: Bundle): Record<string, string> {
  const policies = Object.entries(bundle.policies);
  for (const pack of bundle.site.packs)
    for (const [id, text] of Object.entries(bundle.packs[pack]?.policies ?? {}))
      policies.push([`${pack}/${id}`, text]);
  return Object.fromEntries(policies);
}

// A denial that cannot say why is no use to the person who was denied, so a forbid without reasons does not load.
function reasonOf(id: string, text: string): Reason | null {
  const policy = parsePolicy(text, id);
  if (policy.effect === 'permit') return null;
  const [ja, en] = [annotation(policy, 'reason_ja'), annotation(policy, 'reason_en')];
  if (ja === null || en === null) throw invalidPolicy(id, 'a forbid needs @reason_ja and @reason_en');
  return Object.freeze({ policy: id, ja, en });
}

function checkAgainst(schema: string, policies: Record<string, string>): void {
  const answer = cedar('set', () =>
    validate({ schema, policies: { staticPolicies: policies }, validationSettings: { mode: 'strict' } }),
  );
  if (answer.type === 'failure') throw invalidPolicy('set', messages(answer.errors));
  const [problem] = answer.validationErrors;
  if (problem !== undefined) throw invalidPolicy(problem.policyId, messages([problem.error]));
}

function evaluate(question: CedarQuestion, preparsedPolicySetId: string): Verdict {
  try {
    // Without the schema, which costs a third more: the facts are ours, a test holds them to it, and a fact of another
    // type makes a policy fail, which denies.
    const answer = statefulIsAuthorized({ ...question, preparsedPolicySetId });
    if (answer.type === 'failure') return { effect: 'error', policies: [] };
    const { decision, diagnostics } = answer.response;
    const policies = diagnostics.reason.toSorted();
    // Cedar skips a policy that fails: a forbid that fails would allow, and what a permit meant is not known.
    if (diagnostics.errors.length > 0)
      return { effect: 'error', policies: decision === 'deny' ? policies : [] };
    return { effect: decision, policies };
  } catch {
    // The bindings throw for facts that they cannot read, and for a WebAssembly that has stopped.
    return { effect: 'error', policies: [] };
  }
}
