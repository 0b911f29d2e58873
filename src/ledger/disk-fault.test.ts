import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';

import {
  decision,
  diskError,
  hurriedWorld,
  newRoad,
  outcome,
  plantedDisk,
  testSite,
  wholeRoad,
} from '../../test/support/ledger-site.ts';
import { openAnchor } from './anchor.ts';
import type { OpenHow } from './disk.ts';
import { signCheckpoint, signerFromSeed } from './note.ts';
import type { Ledger, RoadKeys } from './types.ts';

const world = hurriedWorld();
const REFUSED = { code: 'ledger.unavailable', kind: 'unavailable' };

/** Appends until the log takes leaves again, as callers that come again and again do. */
async function untilTaken(ledger: Ledger): Promise<void> {
  for (;;) {
    try {
      await wholeRoad(ledger);
      return;
    } catch {
      await world.clock.sleep(1);
    }
  }
}

async function settled(ledger: Ledger, roads: readonly RoadKeys[]): Promise<PromiseSettledResult<number>[]> {
  return Promise.allSettled(roads.map((keys) => ledger.appendRoad(keys, decision(ledger, keys))));
}

for (const code of ['ENOSPC', 'EROFS', 'EIO'])
  for (const operation of ['write', 'datasync'])
    test(`${operation} failing with ${code}: all that wait are refused, none that was taken is lost`, async () => {
      await using site = testSite();
      let fails = false;
      const io = plantedDisk((did, path) => {
        if (fails && did === operation && path.includes('/wal/')) throw diskError(code);
      });
      let ledger = await site.open({ io, world });
      const before = await wholeRoad(ledger);
      const waiting = [newRoad(ledger), newRoad(ledger), newRoad(ledger)];
      // Their keys are stored before the disk of the log fails.
      for (const keys of waiting) await ledger.appendRoad(keys, decision(ledger, keys));
      fails = true;
      const results = await settled(ledger, waiting);
      assert.deepEqual(
        results.map((result) => result.status === 'rejected' && Reflect.get(Object(result.reason), 'code')),
        ['ledger.unavailable', 'ledger.unavailable', 'ledger.unavailable'],
      );
      assert.match(ledger.trouble() ?? '', new RegExp(code));
      await assert.rejects(wholeRoad(ledger), REFUSED);
      const size = ledger.size();
      fails = false;
      await untilTaken(ledger);
      assert.equal(ledger.trouble(), null);
      assert.equal(ledger.size(), size + 2);
      await site.close();
      ledger = await site.open();
      assert.equal(ledger.size(), size + 2);
      assert.equal((await ledger.receipt(before.rid))?.state, 'closed');
    });

test('requests that are refused leave nothing in the index, or refusing would make it late for ever', async () => {
  await using site = testSite();
  let fails = false;
  const io = plantedDisk((did, path) => {
    if (fails && did === 'datasync' && path.includes('/wal/')) throw diskError('ENOSPC');
  });
  const ledger = await site.open({ io, world });
  await wholeRoad(ledger);
  fails = true;
  await assert.rejects(wholeRoad(ledger), REFUSED);
  assert.notEqual(ledger.trouble(), null);
  for (let i = 0; i < 200; i++) await assert.rejects(wholeRoad(ledger), REFUSED);
  fails = false;
  await untilTaken(ledger);
  await site.close();
  const database = new DatabaseSync(join(site.top, 'data', 'sekisho.db'), { readOnly: true });
  const { roads } = database.prepare('select count(*) as roads from ledger_roads').get() ?? {};
  database.close();
  assert.ok(Number(roads) < 50, `${String(roads)} roads, of which 2 were recorded`);
});

test('a request key that cannot be stored keeps its leaf from being written', async () => {
  await using site = testSite();
  let fails = false;
  const io = plantedDisk((did, path) => {
    if (fails && did === 'datasync' && basename(path) === 'roads') throw diskError('EIO');
  });
  const ledger = await site.open({ io, world });
  await wholeRoad(ledger);
  fails = true;
  const keys = newRoad(ledger);
  await assert.rejects(ledger.appendRoad(keys, decision(ledger, keys)), REFUSED);
  assert.equal(ledger.size(), 2);
  assert.match(ledger.trouble() ?? '', /request keys cannot be stored/);
  fails = false;
  await untilTaken(ledger);
  const of = await ledger.appendRoad(keys, decision(ledger, keys));
  await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
  assert.equal(Object.keys((await ledger.opening(keys.rid)) ?? {}).length, 3);
});

/** What reaches the disk of road keys and log, in order, while one road is recorded. */
async function traced(takeOut: (operation: string) => boolean): Promise<string[]> {
  await using site = testSite();
  const reached: string[] = [];
  let traces = false;
  const io = plantedDisk((did, path) => {
    const operation = `${did} ${path.includes('/000000000001.wal') ? 'log' : basename(path)}`;
    if (!traces || !/ (?:log|roads)$/.test(operation)) return undefined;
    if (takeOut(operation)) return false;
    reached.push(operation);
    return undefined;
  });
  const ledger = await site.open({ io, world });
  await wholeRoad(ledger);
  traces = true;
  await wholeRoad(ledger);
  traces = false;
  return reached;
}

const KEY_BEFORE_LEAF = [
  'write roads',
  'datasync roads',
  'write log',
  'datasync log',
  'write log',
  'datasync log',
];

test('the key of a road is synced before its first leaf is so much as written', async () => {
  assert.deepEqual(await traced(() => false), KEY_BEFORE_LEAF);
});

test('the trace shows a sync that was taken out', async () => {
  assert.notDeepEqual(await traced((operation) => operation === 'datasync roads'), KEY_BEFORE_LEAF);
  assert.notDeepEqual(await traced((operation) => operation === 'datasync log'), KEY_BEFORE_LEAF);
});

test('a key whose sync does not return holds its leaf back', async () => {
  await using site = testSite();
  const ledger = await site.open({
    world,
    io: plantedDisk((did, path) => {
      if (did === 'datasync' && basename(path) === 'day-keys' && blocks) throw diskError('EIO');
    }),
  });
  let blocks = true;
  const keys = newRoad(ledger);
  await assert.rejects(ledger.appendRoad(keys, decision(ledger, keys)), REFUSED);
  assert.equal(ledger.size(), 0);
  blocks = false;
  await untilTaken(ledger);
});

test('an anchor that cannot be written stops signing, says so, and is taken up again', async () => {
  await using site = testSite();
  let fails = false;
  const io = plantedDisk((did, path) => {
    if (fails && did === 'datasync' && path.endsWith('.anchor')) throw diskError('ENOSPC');
  });
  const ledger = await site.open({ io, world });
  fails = true;
  const { rid } = await wholeRoad(ledger);
  await assert.rejects(ledger.receipt(rid), REFUSED);
  fails = false;
  assert.equal((await ledger.receipt(rid))?.state, 'closed');
  await site.close();
  assert.equal((await site.open()).size(), 2);
});

test('tiles that cannot be written wait in memory and reach the disk later', async () => {
  await using site = testSite();
  let fails = false;
  const io = plantedDisk((did, path) => {
    if (fails && did === 'replace' && path.includes('/tile/')) throw diskError('ENOSPC');
  });
  const ledger = await site.open({ io, world, segmentBytes: 8 << 20 });
  fails = true;
  await Promise.all(Array.from({ length: 200 }, () => wholeRoad(ledger)));
  await ledger.receipt((await wholeRoad(ledger)).rid);
  assert.equal((await ledger.tile('tile/0/000'))?.length, 8192);
  fails = false;
  await site.close();
  assert.deepEqual(readdirSync(join(site.dir, ledger.logId, 'tile', '0')).sort(), ['000', '001.p']);
});

test('an anchor torn while it was written still holds the note before', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sekisho-anchor-'));
  try {
    const signer = signerFromSeed('localhost/test/00000000', Buffer.alloc(32, 1));
    const note = (size: number): string => signCheckpoint(signer, { size, root: 'x'.repeat(32) });
    let tears = false;
    const disk = plantedDisk(() => undefined);
    const torn = {
      ...disk,
      async open(path: string, how: OpenHow) {
        const file = await disk.open(path, how);
        return {
          ...file,
          write: (bytes: Uint8Array, position: number) =>
            file.write(tears ? bytes.subarray(0, 100) : bytes, position).then(() => {
              if (tears) throw diskError('EIO');
            }),
        };
      },
    };
    const anchor = await openAnchor({ disk: torn, directory: folder, key: signer.vkey });
    await anchor.swap(note(1));
    await anchor.swap(note(2));
    tears = true;
    await assert.rejects(anchor.swap(note(3)), REFUSED);
    await anchor[Symbol.asyncDispose]();
    tears = false;
    const again = await openAnchor({ disk: torn, directory: folder, key: signer.vkey });
    assert.equal(again.found?.size, 2);
    await again.swap(note(3));
    await again[Symbol.asyncDispose]();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
