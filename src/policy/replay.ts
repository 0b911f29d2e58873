import { labelToHeader, parseLabel } from './labels.ts';
import type { CallerFacts, Label, PolicyEngine } from './types.ts';

/** A decision as it was just made, with what it was made from. */
export interface MadeDecision {
  readonly rid: string;
  /** ms since 1970. */
  readonly t: number;
  /** The hash of the bundle that decided. */
  readonly bundle: string;
  readonly model: string;
  /** The header `Sekisho-Label` as it came; the engine has read it, so it holds a label and nothing else. */
  readonly header: string | null;
  readonly label: Label;
  readonly purpose: string | null;
  /** A purpose was named that the bundle does not list; `purpose` is null then, since anybody may write anything there. */
  readonly unlisted: boolean;
  readonly approved: boolean;
  readonly caller: CallerFacts;
  /** Where it was allowed to go; null for a denial. */
  readonly endpoint: string | null;
}

/** What a decision was made from and nothing of the request's content; equal facts are decided equally. */
export interface DecisionFacts {
  readonly model: string;
  /** The label that the header asked for, null without one: another bundle may have another floor. */
  readonly asked: string | null;
  /** The label that held, as the header writes it. */
  readonly label: string;
  readonly purpose: string | null;
  readonly unlisted: boolean;
  readonly approved: boolean;
  readonly tenant: string;
  /** Sorted. */
  readonly roles: readonly string[];
}

/** What a bundle says to recorded facts. */
export interface Replayed {
  readonly effect: 'allow' | 'deny';
  /** The first that is allowed; null for a denial. */
  readonly endpoint: string | null;
  /**
   * Those that determined it, sorted: policies, or for what is refused before any of them `unknown-model`,
   * `label-downgrade`, `unknown-purpose`, `approval-required`.
   */
  readonly rules: readonly string[];
}

export function factsOf(made: MadeDecision): DecisionFacts {
  return {
    model: made.model,
    asked: made.header === null ? null : labelToHeader(parseLabel(made.header)),
    label: labelToHeader(made.label),
    purpose: made.purpose,
    unlisted: made.unlisted,
    approved: made.approved,
    tenant: made.caller.tenant,
    roles: made.caller.roles.toSorted(),
  };
}

/** Decides recorded facts as the engine's bundle would at `now` (ms since 1970). */
export function replay(engine: PolicyEngine, facts: DecisionFacts, now: number): Replayed {
  const labelled = engine.label(facts.model, facts.asked);
  if (labelled === null) return refused('unknown-model');
  if (labelled.kind === 'downgrade') return refused('label-downgrade');
  const { purpose, approved } = facts;
  if (facts.unlisted || (purpose !== null && !engine.purposeListed(purpose)))
    return refused('unknown-purpose');
  if (purpose !== null && !approved && engine.approval(purpose) !== null) return refused('approval-required');
  const { decisions } = engine.plan({
    caller: { id: REPLAYED_CALLER, tenant: facts.tenant, roles: facts.roles },
    action: 'infer',
    model: facts.model,
    label: labelled.label,
    purpose,
    approved,
    now,
  });
  const first = decisions.find(({ effect }) => effect === 'allow');
  if (first !== undefined) return { effect: 'allow', endpoint: first.endpoint, rules: first.rules };
  return refused(...decisions.flatMap(({ rules }) => rules));
}

// Which key asked is not kept with the facts; a policy that names one is reported beside the answer.
const REPLAYED_CALLER = 'replayed';

function refused(...rules: readonly string[]): Replayed {
  return { effect: 'deny', endpoint: null, rules: [...new Set(rules)].sort() };
}
