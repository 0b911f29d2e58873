import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { tilePath } from '../../src/ledger/tile-path.ts';
import type { Site } from './site.ts';

const KIBIBYTE = 1024;
/** Entries of a full bundle. */
const BUNDLE = 256;
const POLL_MS = 10;
const PATIENCE_MS = 5_000;

/** The resident memory of a process, now or at its highest. Linux only. */
export function residentBytes(pid: number, when: 'now' | 'peak' = 'now'): number {
  const field = when === 'now' ? 'VmRSS' : 'VmHWM';
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1]) * KIBIBYTE;
}

/** What a site planted to tell its heap holds once nobody's leavings are collected: bytes, and what its loop waits for. */
export async function liveHeap(
  site: Pick<Site, 'pid' | 'stderr'>,
): Promise<{ readonly heap: number; readonly resources: number }> {
  const told = (): readonly RegExpMatchArray[] => [
    ...site.stderr().matchAll(/^heap (\d+) resources (\d+)\n/gm),
  ];
  const seen = told().length;
  // What the first collection finalises, the second one takes.
  for (const wanted of [1, 2, 3]) {
    process.kill(site.pid, 'SIGUSR2');
    await until(() => told().length >= seen + wanted, 'the site tells its heap');
  }
  const [, heap, resources] = told().at(-1) ?? [];
  return { heap: Number(heap), resources: Number(resources) };
}

/** Waits until `holds`; fails with `what` when that takes too long. The far side is a real process, so time is real. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  ms = PATIENCE_MS,
): Promise<void> {
  const late = performance.now() + ms;
  while (!(await holds())) {
    assert.ok(performance.now() < late, what);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Every leaf of the site's log that its checkpoint covers, parsed, oldest first. */
export async function allLeaves(site: Site): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const leaves: Readonly<Record<string, unknown>>[] = [];
  for await (const leaf of eachLeaf(site)) leaves.push(leaf);
  return leaves;
}

/** The same one bundle at a time, for a log that is larger than memory. */
export async function* eachLeaf(site: Site): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  const base = logs[0]?.url ?? '';
  const size = Number((await site.call(`${base}/checkpoint`)).text.split('\n')[1]);
  for (let first = 0; first < size; first += BUNDLE) {
    const width = Math.min(BUNDLE, size - first);
    const tile = tilePath({ level: 'entries', number: first / BUNDLE, width });
    const reply = await fetch(new URL(`${base}/${tile}`, site.url), {
      headers: { authorization: `Bearer ${site.adminKey}` },
    });
    assert.equal(reply.status, 200);
    yield* entriesOf(Buffer.from(await reply.arrayBuffer()));
  }
}

// C2SP tlog-tiles: each entry after its length in two bytes, big-endian.
function entriesOf(bundle: Buffer): Record<string, unknown>[] {
  const entries: Record<string, unknown>[] = [];
  for (let at = 0; at < bundle.length;) {
    const end = at + 2 + bundle.readUInt16BE(at);
    entries.push(JSON.parse(bundle.toString('utf8', at + 2, end)) as Record<string, unknown>);
    at = end;
  }
  return entries;
}
