import { residentBytes } from './observe.ts';
import type { Site } from './site.ts';
import { soak, type Soak } from './soak.ts';

const SAMPLES = 100;
const MEBIBYTE = 2 ** 20;
/** What the last quarter may hold more than the second, however many requests there were. */
export const MAX_GROWTH_MIB = 48;

/** A soak, and what the site's process held after each hundredth of it, in MiB. */
export async function watchedSoak(
  site: Pick<Site, 'pid' | 'url' | 'adminKey'>,
  requests: number,
  say: (line: string) => void,
): Promise<Soak & { readonly memory: readonly number[] }> {
  const memory: number[] = [];
  const began = performance.now();
  const every = Math.ceil(requests / SAMPLES);
  const result = await soak(site, requests, (done) => {
    if (done % every !== 0) return;
    const mebibytes = residentBytes(site.pid) / MEBIBYTE;
    memory.push(mebibytes);
    const rate = (done * 1000) / (performance.now() - began);
    say(`${done} of ${requests} requests, ${rate.toFixed(0)}/s, ${mebibytes.toFixed(0)} MiB`);
  });
  return { ...result, memory };
}

/** What the last quarter of the samples holds more than the second, in MiB; the first is warming up. */
export function growthOf(memory: readonly number[]): number {
  const quarter = Math.floor(memory.length / 4);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, one) => sum + one, 0) / values.length;
  return mean(memory.slice(-quarter)) - mean(memory.slice(quarter, 2 * quarter));
}
