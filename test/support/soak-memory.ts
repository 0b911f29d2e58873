import { liveHeap, residentBytes } from './observe.ts';
import type { Site } from './site.ts';
import { soak, type End, type Soak } from './soak.ts';

const QUARTERS = 4;
const SAMPLES_A_QUARTER = 25;
const MEBIBYTE = 2 ** 20;
/** What the last quarter may be resident in more than the second, however many requests there were. */
export const MAX_GROWTH_MIB = 48;
/** What may be alive after the last quarter more than after the first: room for the caches of tiles and bundles to fill. */
export const MAX_LIVE_GROWTH_MIB = 16;

export interface WatchedSoak extends Soak {
  /** Resident, in MiB, after each hundredth of the requests. */
  readonly memory: readonly number[];
  /** Alive after a collection, in MiB, after each quarter. */
  readonly live: readonly number[];
}

/** A soak of a site that is planted to tell its heap, and what its process held. */
export async function watchedSoak(
  site: Pick<Site, 'pid' | 'url' | 'adminKey' | 'stderr'>,
  requests: number,
  say: (line: string) => void,
): Promise<WatchedSoak> {
  const ends: Record<End, number> = { whole: 0, refused: 0, failed: 0, broken: 0, left: 0 };
  const acknowledged = new Map<string, string>();
  const surprises: string[] = [];
  const [memory, live]: [number[], number[]] = [[], []];
  const count = Math.ceil(requests / QUARTERS);
  const every = Math.ceil(count / SAMPLES_A_QUARTER);
  for (let quarter = 1; quarter <= QUARTERS; quarter++) {
    const began = performance.now();
    const part = await soak(site, count, (done) => {
      if (done % every !== 0) return;
      const mebibytes = residentBytes(site.pid) / MEBIBYTE;
      memory.push(mebibytes);
      const rate = (done * 1000) / (performance.now() - began);
      say(
        `quarter ${quarter}: ${done} of ${count} requests, ${rate.toFixed(0)}/s, ${mebibytes.toFixed(0)} MiB`,
      );
    });
    for (const [rid, kind] of part.acknowledged) acknowledged.set(rid, kind);
    surprises.push(...part.surprises);
    for (const end of ENDS) ends[end] += part.ends[end];
    live.push((await liveHeap(site)).heap / MEBIBYTE);
    say(`quarter ${quarter}: ${live.at(-1)?.toFixed(1)} MiB alive`);
  }
  return { ends, acknowledged, surprises, memory, live };
}

const ENDS: readonly End[] = ['whole', 'refused', 'failed', 'broken', 'left'];

/** What the last quarter of the samples holds more than the second, in MiB; the first is warming up. */
export function growthOf(memory: readonly number[]): number {
  const quarter = Math.floor(memory.length / QUARTERS);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, one) => sum + one, 0) / values.length;
  return mean(memory.slice(-quarter)) - mean(memory.slice(quarter, 2 * quarter));
}

/** What is alive at the end more than after the first quarter, in MiB. */
export function liveGrowthOf(live: readonly number[]): number {
  return (live.at(-1) ?? NaN) - (live[0] ?? NaN);
}
