import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { systemWorld } from '../core/world.ts';
import { testSite, wholeRoad, type TestSite } from '../../test/support/ledger-site.ts';
import { realDisk } from './disk.ts';
import { readBundle } from './segment.ts';
import { tilePath, tileWidth } from './tile-path.ts';
import { leafHash, TILE_WIDTH, TreeEdge } from './tree.ts';
import type { Ledger } from './types.ts';

const CHILD = fileURLToPath(new URL('../../test/support/ledger-child.ts', import.meta.url));
const ROUNDS = 12;

/** What clients were told by a process that was then killed. */
interface Told {
  readonly taken: Set<string>;
  readonly open: Set<string>;
  readonly heads: string[];
}

/** Runs a recording process and kills it at a random moment; gives what it said, its last half line left out. */
async function killedWhileRecording(site: TestSite, told: Told): Promise<void> {
  const child = spawn(process.execPath, [CHILD, site.top], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let isTimed = false;
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (isTimed || !text.includes('\n')) return;
    isTimed = true;
    void systemWorld()
      .clock.sleep(30 + Math.random() * 250)
      .then(() => child.kill('SIGKILL'));
  });
  await once(child, 'close');
  for (const line of text.split('\n').slice(0, -1)) {
    const [word, rest] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    if (word === 'open') told.open.add(rest);
    if (word === 'taken') told.taken.add(rest);
    if (word === 'head') told.heads.push(JSON.parse(rest));
  }
}

async function closeUnknown(ledger: Ledger): Promise<number> {
  const unfinished = await ledger.unfinished();
  for (const { rid, attempt, index } of unfinished) {
    await ledger.appendRecovered({
      v: 1,
      kind: 'outcome',
      rid,
      attempt,
      of: index,
      t: ledger.time(),
      status: 'unknown',
      code: null,
      http: null,
      observed: null,
      in: 0,
      out: 0,
      c: { res: null, peer: null },
      attempts: 1,
    });
  }
  return unfinished.length;
}

/** The root of the log in this folder at each of the sizes, derived from its entries alone. */
async function rootsAt(
  folder: string,
  sizes: ReadonlySet<number>,
  total: number,
): Promise<Map<number, string>> {
  const roots = new Map<number, string>();
  const edge = new TreeEdge(() => {});
  for (let number = 0; number * TILE_WIDTH < total; number++) {
    const width = tileWidth('entries', number, total);
    const bytes = await realDisk.readFile(join(folder, tilePath({ level: 'entries', number, width })));
    for (const entry of readBundle(bytes ?? Buffer.alloc(0)) ?? assert.fail()) {
      edge.append(leafHash(entry));
      if (sizes.has(edge.size)) roots.set(edge.size, Buffer.from(edge.root(), 'latin1').toString('base64'));
    }
  }
  return roots;
}

test(`killed ${ROUNDS} times while recording: nothing that was told is lost, and the log never forks`, async (t) => {
  await using site = testSite();
  const told: Told = { taken: new Set(), open: new Set(), heads: [] };
  let unknown = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await killedWhileRecording(site, told);
    if (round % 4 !== 3) continue;
    const ledger = await site.open({ segmentBytes: 128 << 10 });
    unknown += await closeUnknown(ledger);
    for (const rid of told.open) assert.equal((await ledger.receipt(rid))?.state, 'closed', rid);
    for (const rid of told.taken) assert.equal(Object.keys((await ledger.opening(rid)) ?? {}).length, 3, rid);
    await site.close();
  }
  const ledger = await site.open();
  await wholeRoad(ledger);
  await site.close();
  const heads = new Map(told.heads.map((note) => [Number(note.split('\n')[1]), note.split('\n')[2]]));
  const roots = await rootsAt(join(site.dir, ledger.logId), new Set(heads.keys()), ledger.size());
  assert.deepEqual(roots, new Map([...heads].sort(([a], [b]) => a - b)));
  assert.ok(told.taken.size > 100, `${told.taken.size} roads`);
  t.diagnostic(`${told.taken.size} roads, ${heads.size} checkpoints, ${unknown} outcomes unknown`);
});
