import assert from 'node:assert/strict';
import test from 'node:test';
import { blindDisk, cloneTrial, killTrial, powerTrial } from './support/trials.ts';
import type { Found } from './support/trials.ts';

const TRIALS = 200;
const PLANTED = 8;

const nothing = (): Found => ({ receipts: 0, losses: 0, forks: 0 });

test(`${TRIALS} random crashes, power cuts and clones: no receipt is lost and no fork is signed`, async (t) => {
  const found = nothing();
  const counts = { power: 0, kill: 0, clone: 0 };
  for (let trial = 0; trial < TRIALS; trial++) {
    const kind = Math.random();
    if (kind < 0.5) {
      counts.power += 1;
      await powerTrial(Math.random, found);
    } else if (kind < 0.75) {
      counts.kill += 1;
      await killTrial(Math.random, found);
    } else {
      counts.clone += 1;
      await cloneTrial(Math.random, found);
    }
    assert.deepEqual([found.losses, found.forks], [0, 0], `trial ${trial} of ${JSON.stringify(counts)}`);
  }
  assert.ok(found.receipts > TRIALS);
  t.diagnostic(`${TRIALS} trials: ${counts.power} power cuts, ${counts.kill} kills, ${counts.clone} clones`);
  t.diagnostic(`${found.receipts} receipts, ${found.losses} losses, ${found.forks} forks`);
});

test('planted: a disk that lies about its syncs is found out by the receipts that it lost', async (t) => {
  const found = nothing();
  for (let trial = 0; trial < PLANTED; trial++) await powerTrial(Math.random, found, true);
  assert.ok(found.losses > 0);
  t.diagnostic(`${found.losses} losses of ${found.receipts} receipts`);
});

test('planted: where a copied anchor cannot be told from the first one, the fork is found', async (t) => {
  const found = nothing();
  for (let trial = 0; trial < 2 * PLANTED; trial++) await cloneTrial(Math.random, found, blindDisk);
  assert.ok(found.forks > 0);
  t.diagnostic(`${found.forks} forks`);
});
