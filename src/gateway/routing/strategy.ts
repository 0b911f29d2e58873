import type { Strategy } from '../../policy/types.ts';

/** What a strategy knows of one endpoint that may be asked. */
export interface Choice {
  /** At least 1. */
  readonly weight: number;
  /** Of a million tokens in and a million out together; null is unknown. */
  readonly price: number | null;
  /** Requests that are there or wait for a place. */
  readonly load: number;
  /** Milliseconds that answers of this kind took of late; null before the first. */
  readonly tookMs: number | null;
  /** When that was last measured, on the clock of elapsed time. */
  readonly measuredAt: number;
}

/** A figure counts half after this time, so that an endpoint that was slow once is tried again. */
const HALF_LIFE_MS = 60_000;

/**
 * The place in `choices` of the endpoint to ask next. It can only order what it is given: what policy denied is not
 * among the choices. `random` is at least 0 and below 1.
 */
export function choose(
  strategy: Strategy,
  choices: readonly Choice[],
  { now, random }: { readonly now: number; readonly random: () => number },
): number {
  if (choices.length < 2) return 0;
  switch (strategy) {
    case 'order':
      return 0;
    case 'weighted':
      return byWeight(choices, random());
    case 'cheapest':
      return least(choices, ({ price }) => price ?? Number.POSITIVE_INFINITY);
    case 'fastest':
      return least(choices, (choice) => expectedMs(choice, now));
    case 'balanced':
      return lightest(choices, random());
  }
}

function byWeight(choices: readonly Choice[], random: number): number {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  let left = random * total;
  return Math.max(
    0,
    choices.findIndex(({ weight }) => (left -= weight) < 0),
  );
}

// The first of equals, which is the bundle's order.
function least(choices: readonly Choice[], measure: (choice: Choice) => number): number {
  const measured = choices.map(measure);
  return Math.max(0, measured.indexOf(Math.min(...measured)));
}

// One request at a time finds out how fast an endpoint is of which nothing is known, or nothing any more.
function expectedMs({ tookMs, measuredAt, load }: Choice, now: number): number {
  if (load > 0) return tookMs ?? Number.POSITIVE_INFINITY;
  return tookMs === null ? 0 : tookMs * 2 ** (-(now - measuredAt) / HALF_LIFE_MS);
}

function lightest(choices: readonly Choice[], random: number): number {
  const loads = choices.map(({ load, weight }) => load / weight);
  const minimum = Math.min(...loads);
  const equals = choices.filter((_, i) => loads[i] === minimum);
  const chosen = equals[byWeight(equals, random)];
  return Math.max(
    0,
    choices.findIndex((choice) => choice === chosen),
  );
}
