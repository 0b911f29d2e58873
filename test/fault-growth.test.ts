import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FAULT_ROWS, type FaultRow } from './support/fault-rows.ts';
import { liveHeap, until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, oneModel } from './support/road.ts';
import { ONE_ATTEMPT, startSite, type Site } from './support/site.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
const MEBIBYTE = 1024 * 1024;
const TOGETHER = 32;
const ROUNDS = 3;

interface Held {
  readonly heap: number;
  readonly resources: number;
  readonly descriptors: number;
}

test('whatever a provider does, round after round, no socket, descriptor or memory is kept', async (t) => {
  await using home = await startProvider();
  await using site = await startSite({
    governance: oneModel([{ id: 'home', provider: home }]),
    config: { egress: { timeout: 1 }, routing: ONE_ATTEMPT },
    program: PLANTED_SITE,
    env: { PLANT: 'heap' },
  });
  const good = FAULT_ROWS.map((row) => ({ ...row, provider: { kind: 'answer' } as const }));
  const rounds = async (rows: readonly Pick<FaultRow, 'provider'>[]): Promise<Held> => {
    for (let i = 0; i < ROUNDS; i++) await round(rows, { site, home });
    return heldBy(site, home);
  };
  const faulty = await rounds(FAULT_ROWS);
  const first = await rounds(good);
  // The log keeps a bounded number of roads and tiles at hand, which fills with good answers too.
  const before = await rounds(good);
  const after = await rounds(FAULT_ROWS);
  const [usual, grown] = [before.heap - first.heap, after.heap - before.heap];
  const told = `${(grown / MEBIBYTE).toFixed(1)} MiB, for good answers ${(usual / MEBIBYTE).toFixed(1)} MiB`;
  t.diagnostic(`${ROUNDS * FAULT_ROWS.length * 2} faults: heap ${told}; ${JSON.stringify(after)}`);
  assert.ok(grown - usual < 2 * MEBIBYTE, told);
  // The test's own connections, and timers that have not run out, may stand in one of the two.
  const now = JSON.stringify({ faulty, after });
  assert.ok(after.resources <= faulty.resources + TOGETHER, now);
  assert.ok(after.descriptors <= faulty.descriptors + TOGETHER, now);
});

/** Each fault once asked plainly and once for a stream, many at a time. */
async function round(
  rows: readonly Pick<FaultRow, 'provider'>[],
  { site, home }: { site: Site; home: Provider },
): Promise<void> {
  const faults = rows.flatMap(({ provider }) => [
    { provider, stream: false },
    { provider, stream: true },
  ]);
  for (let i = 0; i < faults.length; i += TOGETHER) {
    const now = faults.slice(i, i + TOGETHER);
    home.behave(...now.map(({ provider }) => provider));
    const asked = now.map(async ({ stream }) => chat(site, chatBody('one two three four', { stream })));
    for (const { status } of await Promise.all(asked)) assert.ok(status >= 200);
  }
}

/** What the site still holds once its idle connections have ended. */
async function heldBy(site: Site, home: Provider): Promise<Held> {
  await until(() => home.open === 0, 'every connection to the provider ends', 15_000);
  const live = await liveHeap(site);
  return { ...live, descriptors: readdirSync(`/proc/${site.pid}/fd`).length };
}
