// `write FOLDER ENTRIES` records roads until the log has so many leaves; `start FOLDER` opens the log that is there and
// makes the receipts that are named on standard input, one id a line. Each line of standard output is a JSON object.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { Fault } from '../../src/core/fault.ts';
import type { Ledger } from '../../src/ledger/types.ts';
import { decision, newRoad, outcome, siteAt } from './ledger-site.ts';

const SEGMENT_BYTES = 16 << 20;
const ROADS_AT_ONCE = 256;
const REPORTS = 100;
/** One road in so many is named, for receipts later. */
const NAMED_EVERY = 1_000;
const BUSY_MS = 20;

const [verb, folder = '', count = '0'] = process.argv.slice(2);
const site = siteAt(folder);
await (verb === 'write' ? write(Number(count)) : start());

async function write(entries: number): Promise<void> {
  const ledger = await site.open({ segmentBytes: SEGMENT_BYTES });
  const step = Math.ceil(entries / REPORTS);
  let [reported, roads] = [ledger.size(), 0];
  const worker = async (): Promise<void> => {
    while (ledger.size() < entries) {
      const rid = await recordedRoad(ledger);
      if (roads++ % NAMED_EVERY === 0) say({ rid });
      if (ledger.size() < reported + step) continue;
      reported = ledger.size();
      say({ size: reported, rss: process.memoryUsage.rss(), ms: performance.now() });
    }
  };
  await Promise.all(Array.from({ length: ROADS_AT_ONCE }, worker));
  say({ size: ledger.size(), rss: process.memoryUsage.rss() });
  // Killed or closed, as the test likes: it says which.
  const [how] = (await once(process.stdin.setEncoding('utf8'), 'data')) as [string];
  if (how.trim() === 'close') await site.close();
  process.exit(0);
}

async function recordedRoad(ledger: Ledger): Promise<string> {
  const keys = newRoad(ledger);
  const of = await untilTaken(() => ledger.appendRoad(keys, decision(ledger, keys)));
  await untilTaken(() => ledger.appendRoad(keys, outcome(ledger, keys, { of })));
  return keys.rid;
}

// A log that is written faster than its index and tiles reach the disk refuses until they have caught up.
async function untilTaken(append: () => Promise<number>): Promise<number> {
  for (;;) {
    try {
      return await append();
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'ledger.unavailable') throw error;
      await delay(BUSY_MS);
    }
  }
}

async function start(): Promise<void> {
  const begun = performance.now();
  const ledger = await site.open({ segmentBytes: SEGMENT_BYTES });
  const ms = performance.now() - begun;
  say({ size: ledger.size(), ms, rss: process.memoryUsage.rss(), vkey: ledger.vkey, logId: ledger.logId });
  for await (const rid of createInterface({ input: process.stdin })) {
    const from = performance.now();
    const receipt = await ledger.receipt(rid);
    say({ rid, ms: performance.now() - from, receipt });
  }
  say({ rss: process.memoryUsage.rss() });
  await site.close();
}

function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
