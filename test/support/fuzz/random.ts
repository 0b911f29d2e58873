import { createHash } from 'node:crypto';

/** Choices that are the same whenever the seed is. */
export interface FuzzRandom {
  /** From 0 to n - 1. */
  int(n: number): number;
  chance(p: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
}

/** The choices of one case of a run; each case has its own, so that it can be had again without those before it. */
export function fuzzRandom(seed: string, run: number): FuzzRandom {
  let state = createHash('sha256').update(`${seed} ${run}`).digest().readUInt32LE(0);
  // mulberry32, by Tommy Ettinger, in the public domain.
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (n: number): number => Math.floor(unit() * n);
  return { int, chance: (p) => unit() < p, pick: (list) => list[int(list.length)] ?? list[0] };
}

/** The seed and, when a single case is to be had again, its number: `S` or `S:N`, as `npm run test:long -- fuzz --seed`. */
export function fuzzSeed(
  given: string | undefined,
  fresh: () => string,
): { seed: string; only: number | null } {
  const [seed, run] = (given ?? fresh()).split(':');
  return { seed: seed ?? '', only: run === undefined ? null : Number(run) };
}
