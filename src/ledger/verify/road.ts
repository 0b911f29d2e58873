import type { Findings } from './findings.ts';
import type { ShownDecision, ShownOutcome } from './leaf.ts';

/** One attempt's leaves; what could not be read, and is noted, is undefined. */
export interface RoadAttempt {
  readonly decision: ShownDecision | undefined;
  readonly outcome: ShownOutcome | null | undefined;
}

export type RoadState = 'open' | 'closed';

/**
 * The rules of the road (docs/verify.md "Road"): which leaves belong together and in which order they were logged. The
 * state means something only when nothing invalid was found.
 */
export function checkRoad(
  id: string | undefined,
  attempts: readonly RoadAttempt[],
  findings: Findings,
): RoadState {
  attempts.forEach(({ decision, outcome }, i) => {
    checkRid(id, decision, findings);
    checkRid(id, outcome, findings);
    if (decision === undefined) return;
    checkPlace(decision, i, findings);
    checkSuccession(decision, i === 0 ? null : attempts[i - 1]?.decision, findings);
    if (outcome) checkOutcome(outcome, decision, findings);
    if (decision.effect === 'deny')
      checkDenial(decision, { outcome, last: i === attempts.length - 1 }, findings);
  });
  checkSameRequest(attempts, findings);
  checkOneResponse(attempts, findings);
  return stateOf(attempts, checkCount(attempts, findings));
}

type Invalid = Pick<Findings, 'invalid'>;

function checkRid(
  id: string | undefined,
  leaf: ShownDecision | ShownOutcome | null | undefined,
  { invalid }: Invalid,
): void {
  if (id !== undefined && leaf?.rid !== undefined && leaf.rid !== id)
    invalid.push(`${leaf.where}.rid: not the id of the receipt`);
}

function checkPlace(decision: ShownDecision, at: number, { invalid }: Invalid): void {
  if (decision.attempt !== undefined && decision.attempt !== at + 1)
    invalid.push(`${decision.where}.attempt: expected ${at + 1}, found ${decision.attempt}`);
}

function checkSuccession(
  decision: ShownDecision,
  previous: ShownDecision | null | undefined,
  { invalid }: Invalid,
): void {
  const before = previous === null ? null : previous?.index;
  if (before === undefined) return;
  if (decision.prev !== undefined && decision.prev !== before)
    invalid.push(`${decision.where}.prev: expected ${before}, found ${decision.prev}`);
  if (before !== null && decision.index !== undefined && decision.index <= before)
    invalid.push(`${decision.where}.index: not above that of the decision before`);
}

function checkOutcome(outcome: ShownOutcome, decision: ShownDecision, { invalid }: Invalid): void {
  if (differ(outcome.attempt, decision.attempt))
    invalid.push(`${outcome.where}.attempt: not that of its decision`);
  if (differ(outcome.of, decision.index)) invalid.push(`${outcome.where}.of: not the index of its decision`);
  if (outcome.index !== undefined && decision.index !== undefined && outcome.index <= decision.index)
    invalid.push(`${outcome.where}.index: not above that of its decision`);
}

function differ(one: number | undefined, other: number | undefined): boolean {
  return one !== undefined && other !== undefined && one !== other;
}

function checkDenial(
  decision: ShownDecision,
  { outcome, last }: { outcome: ShownOutcome | null | undefined; last: boolean },
  { invalid }: Invalid,
): void {
  if (outcome !== null) invalid.push(`${decision.where}: denied, and yet with an outcome`);
  if (!last) invalid.push(`${decision.where}: denied, and yet not the last attempt`);
}

// One request key serves a road, so one body has one commitment in all its decisions.
function checkSameRequest(attempts: readonly RoadAttempt[], { invalid }: Invalid): void {
  const commitments = attempts.flatMap(({ decision }) => decision?.in?.join() ?? []);
  if (new Set(commitments).size > 1) invalid.push('attempts: their decisions commit to different requests');
}

function checkOneResponse(attempts: readonly RoadAttempt[], { invalid }: Invalid): void {
  if (attempts.filter(({ outcome }) => outcome?.res).length > 1)
    invalid.push('attempts: more than one outcome commits to a response');
}

// Only the last outcome, the one with the highest index, counts the road's attempts. Returns what it says.
function checkCount(attempts: readonly RoadAttempt[], { invalid }: Invalid): number | null {
  const outcomes = attempts.flatMap(({ outcome }) => outcome ?? []);
  const last = outcomes.reduce<ShownOutcome | null>(
    (highest, outcome) =>
      highest !== null && (outcome.index ?? -1) < (highest.index ?? -1) ? highest : outcome,
    null,
  );
  for (const outcome of outcomes) {
    if (outcome !== last && outcome.attempts !== null)
      invalid.push(`${outcome.where}.attempts: written on an outcome that is not the road's last`);
  }
  const counted = last?.attempts ?? null;
  if (last !== null && counted !== null && counted < attempts.length)
    invalid.push(`${last.where}.attempts: ${counted}, but ${attempts.length} are shown`);
  return counted;
}

// A denial ends the road by itself; no outcome after it could count the attempts.
function stateOf(attempts: readonly RoadAttempt[], counted: number | null): RoadState {
  const answered = attempts.every(({ decision, outcome }) => decision?.effect === 'deny' || Boolean(outcome));
  const denied = attempts.at(-1)?.decision?.effect === 'deny';
  const complete = counted === attempts.length || (counted === null && denied);
  return answered && complete ? 'closed' : 'open';
}
