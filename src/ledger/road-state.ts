import type { LeafFacts } from './leaf-facts.ts';

export interface DecisionAt {
  readonly attempt: number;
  readonly index: number;
  readonly allowed: boolean;
  readonly hasRequest: boolean;
}

export interface OutcomeAt {
  readonly attempt: number;
  readonly index: number;
  readonly attempts: number | null;
  readonly hasResponse: boolean;
}

/** Where the leaves of a road stand in the log, and which slot holds its request key. */
export interface RoadState {
  readonly rid: string;
  slot: number | null;
  readonly decisions: DecisionAt[];
  readonly outcomes: OutcomeAt[];
}

export function newRoadState(rid: string): RoadState {
  return { rid, slot: null, decisions: [], outcomes: [] };
}

/** Notes a leaf of the road; one that was noted before changes nothing, since recovery reads some leaves twice. */
export function noteLeaf(road: RoadState, index: number, leaf: LeafFacts): void {
  if (leaf.kind === 'decision' && !road.decisions.some((one) => one.index === index)) {
    const { attempt, allowed, hasRequest } = leaf;
    road.decisions.push({ attempt, index, allowed, hasRequest });
  }
  if (leaf.kind === 'outcome' && !road.outcomes.some((one) => one.index === index)) {
    const { attempt, attempts, hasResponse } = leaf;
    road.outcomes.push({ attempt, index, attempts, hasResponse });
  }
}

/** The allowed decisions that have no outcome. */
export function pendingDecisions(road: RoadState): DecisionAt[] {
  return road.decisions.filter(
    (decision) => decision.allowed && !road.outcomes.some((outcome) => outcome.attempt === decision.attempt),
  );
}

/** Whether every allowed decision has its outcome and nothing more can follow. */
export function isClosed(road: RoadState): boolean {
  const lastDecision = road.decisions.at(-1);
  if (lastDecision === undefined || pendingDecisions(road).length > 0) return false;
  const lastOutcome = road.outcomes.reduce<OutcomeAt | null>(
    (last, one) => (last === null || one.index > last.index ? one : last),
    null,
  );
  if (lastOutcome?.attempts === undefined || lastOutcome.attempts === null) return !lastDecision.allowed;
  return lastOutcome.attempts === road.decisions.length;
}

/** The indices of the road's leaves, in no order. */
export function leafIndices(road: RoadState): readonly number[] {
  return [...road.decisions, ...road.outcomes].map(({ index }) => index);
}

/** The highest index among the road's leaves; -1 for a road without leaves. */
export function lastIndex(road: RoadState): number {
  return Math.max(-1, ...leafIndices(road));
}
