import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkLog, type LogSource } from '../../src/ledger/check.ts';
import type { RotationPlan } from '../../src/ledger/rotate.ts';
import { verifyReceipt } from '../../src/ledger/verify/index.ts';
import { plantedDisk, testSite, wholeRoad, type TestSite } from './ledger-site.ts';

export const SCHEDULED: RotationPlan = { reason: 'scheduled', keepKey: false, settle: async () => {} };

/** A log of the site as a checker reads it. */
export function logFolder(site: TestSite, logId: string): LogSource {
  return {
    async read(name) {
      const file = join(site.dir, logId, name);
      return existsSync(file) ? readFileSync(file) : null;
    },
  };
}

export function keyFiles(site: TestSite): string[] {
  return readdirSync(join(site.top, 'data', 'keys')).sort();
}

export async function verdictOf(receipt: unknown, vkeys: readonly string[]): Promise<string> {
  return (await verifyReceipt(Buffer.from(JSON.stringify(receipt)), { vkeys })).verdict;
}

/**
 * Rotates with a disk that does nothing more after 0, `step`, 2 `step`... operations, until one rotation gets through,
 * and looks at what the next start finds each time.
 */
export async function survivesPowerCuts(step: number): Promise<{ operations: number; cuts: number }> {
  const reached = new Set<boolean>();
  for (let cut = 0; ; cut += step) {
    await using site = testSite();
    const first = await site.open();
    const { rid } = await wholeRoad(first);
    await site.close();
    const { done, used } = await rotatedUntil(site, cut);
    const ledger = await site.open();
    const isNext = ledger.logId !== first.logId;
    reached.add(isNext);
    const at = `cut after ${cut} operations`;
    assert.deepEqual(keyFiles(site), ['ledger-log.key', 'ledger-master.key'], at);
    assert.equal(ledger.logs().filter(({ ended }) => !ended).length, 1, at);
    assert.equal(ledger.logs().length, isNext ? 2 : 1, at);
    assert.equal(await verdictOf(await ledger.receipt(rid), [first.vkey]), 'valid', at);
    const fresh = await wholeRoad(ledger);
    assert.equal(await verdictOf(await ledger.receipt(fresh.rid), [ledger.vkey]), 'valid', at);
    await site.close();
    for (const { logId, vkey } of ledger.logs())
      assert.equal((await checkLog(logFolder(site, logId), vkey)).lines[0], 'valid', at);
    const folders = readdirSync(site.dir).filter((name) => /^[0-9a-f]{8}$/.test(name));
    assert.equal(folders.length, isNext ? 2 : 1, at);
    if (!done) continue;
    assert.equal(reached.size, 2, 'both before and after the end');
    return { operations: used, cuts: cut / step };
  }
}

async function rotatedUntil(site: TestSite, operations: number): Promise<{ done: boolean; used: number }> {
  let used = 0;
  const io = plantedDisk(() => {
    used += 1;
    if (used > operations) throw new Error('the power is off');
  });
  try {
    await site.rotate(SCHEDULED, { io });
    return { done: true, used };
  } catch {
    return { done: false, used };
  }
}
