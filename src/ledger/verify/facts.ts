import type { Members } from './members.ts';
import { integerOf } from './members.ts';
import type { RoadAttempt } from './road.ts';

/** What a decision leaf says, to be shown and not judged; null where it says nothing of that kind. Times in ms. */
export interface DecisionFacts {
  readonly index: number | null;
  readonly t: number | null;
  readonly effect: string | null;
  readonly action: string | null;
  readonly surface: string | null;
  readonly model: string | null;
  readonly bundle: string | null;
  readonly conf: number | null;
  readonly endpoint: string | null;
  readonly operator: string | null;
  readonly country: string | null;
  readonly posture: string | null;
  readonly selfDeclared: boolean | null;
  readonly expires: number | null;
}

/** What an outcome leaf says, to be shown and not judged. `in` and `out` are bucketed bytes. */
export interface OutcomeFacts {
  readonly index: number | null;
  readonly t: number | null;
  readonly status: string | null;
  readonly code: string | null;
  readonly http: number | null;
  readonly spki: string | null;
  readonly in: number | null;
  readonly out: number | null;
}

export interface AttemptFacts {
  readonly decision: DecisionFacts | null;
  readonly outcome: OutcomeFacts | null;
}

/** The parsed facts of a receipt, for people. Every text in it came from the log's operator. */
export interface Summary {
  readonly id: string | null;
  readonly origin: string | null;
  readonly attempts: readonly AttemptFacts[];
}

export function attemptFacts({ decision, outcome }: RoadAttempt): AttemptFacts {
  return {
    decision: decision ? decisionFacts(decision.members, decision.index ?? null) : null,
    outcome: outcome ? outcomeFacts(outcome.members, outcome.index ?? null) : null,
  };
}

function decisionFacts(leaf: Members, index: number | null): DecisionFacts {
  const to = leaf.peek('to');
  const selfDeclared = to?.raw('selfDeclared');
  return {
    index,
    t: number(leaf, 't'),
    effect: text(leaf, 'effect'),
    action: text(leaf, 'action'),
    surface: text(leaf, 'surface'),
    model: text(leaf, 'model'),
    bundle: text(leaf, 'bundle'),
    conf: number(leaf.peek('label'), 'conf'),
    endpoint: text(to, 'endpoint'),
    operator: text(to, 'operator'),
    country: text(to, 'country'),
    posture: text(to, 'posture'),
    selfDeclared: typeof selfDeclared === 'boolean' ? selfDeclared : null,
    expires: number(to, 'expires'),
  };
}

function outcomeFacts(leaf: Members, index: number | null): OutcomeFacts {
  return {
    index,
    t: number(leaf, 't'),
    status: text(leaf, 'status'),
    code: text(leaf, 'code'),
    http: number(leaf, 'http'),
    spki: text(leaf.peek('observed'), 'spki'),
    in: number(leaf, 'in'),
    out: number(leaf, 'out'),
  };
}

function text(leaf: Members | null, name: string): string | null {
  const value = leaf?.raw(name);
  return typeof value === 'string' ? value : null;
}

function number(leaf: Members | null, name: string): number | null {
  return integerOf(leaf?.raw(name));
}
