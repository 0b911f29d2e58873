import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { loopbackProvider } from './support/governance.ts';
import { ONE_ATTEMPT, startSite } from './support/site.ts';
import { startSoakProvider } from './support/soak.ts';
import {
  growthOf,
  liveGrowthOf,
  MAX_GROWTH_MIB,
  MAX_LIVE_GROWTH_MIB,
  watchedSoak,
} from './support/soak-memory.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
/** Few, so that a leak must be large to show; the soak itself has a thousand times as many. */
const REQUESTS = 2_000;

for (const plant of ['leak', 'heap'])
  test(`the soak’s check ${plant === 'leak' ? 'finds 64 KiB kept of each request' : 'finds nothing where nothing is kept'}`, async (t) => {
    using provider = await startSoakProvider();
    await using site = await startSite({
      config: { routing: ONE_ATTEMPT },
      governance: {
        providers: [loopbackProvider({ id: 'near', url: provider.url, models: { m: 'c2' } })],
        models: { chat: { from: [{ endpoint: 'near/m' }] } },
      },
      program: PLANTED_SITE,
      env: { PLANT: plant },
    });
    const { surprises, live } = await watchedSoak(site, REQUESTS, () => {});
    assert.deepEqual(surprises, []);
    const growth = liveGrowthOf(live);
    t.diagnostic(`${live.map((one) => one.toFixed(1)).join(' ')} MiB alive`);
    assert.equal(growth > MAX_LIVE_GROWTH_MIB, plant === 'leak', `${growth} MiB`);
  });

test('memory that grew while the code warmed up and then swings is no leak', () => {
  const settled = Array.from({ length: 100 }, (_, i) => Math.min(300, 180 + 6 * i) + 20 * Math.sin(i));
  assert.ok(Math.abs(growthOf(settled)) < 10, `${growthOf(settled)} MiB`);
  const leaking = settled.map((mebibytes, i) => mebibytes + i);
  assert.ok(growthOf(leaking) > MAX_GROWTH_MIB, `${growthOf(leaking)} MiB`);
});

test('a site is started with a small room for young objects and few arenas', async () => {
  await using site = await startSite();
  const of = (file: string): string[] => readFileSync(`/proc/${site.pid}/${file}`, 'utf8').split('\0');
  assert.ok(of('cmdline').includes('--max-semi-space-size=16'));
  assert.ok(of('environ').includes('MALLOC_ARENA_MAX=2'));
});
