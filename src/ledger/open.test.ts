import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Log } from '../core/log.ts';
import { openDatabase } from '../storage/database.ts';
import {
  decision,
  newRoad,
  outcome,
  SEGMENT_BYTES,
  testSite,
  wholeRoad,
} from '../../test/support/ledger-site.ts';
import { lockFile } from './lock.ts';
import { checkLog } from './check.ts';
import { realDisk } from './disk.ts';
import { parseSigner, signCheckpoint } from './note.ts';
import { RoadStore } from './store.ts';
import type { Ledger } from './types.ts';

async function roads(ledger: Ledger, count: number): Promise<string[]> {
  const made = await Promise.all(Array.from({ length: count }, () => wholeRoad(ledger)));
  return made.map(({ rid }) => rid);
}

function firstFile(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const file = names.find((name) => statSync(join(folder, name)).isFile());
  return join(folder, file ?? assert.fail('no file'));
}

test('a restart finds everything again, and the log goes on', async () => {
  await using site = testSite();
  let ledger = await site.open();
  const made = await roads(ledger, 700);
  const { vkey } = ledger;
  await site.close();
  ledger = await site.open();
  assert.equal(ledger.vkey, vkey);
  assert.equal(ledger.size(), 1400);
  made.push(...(await roads(ledger, 100)));
  for (const rid of [made[0], made[699], made[799]]) {
    assert.equal((await ledger.receipt(rid ?? ''))?.state, 'closed');
    assert.equal(Object.keys((await ledger.opening(rid ?? '')) ?? {}).length, 3);
  }
  assert.ok(ledger.anchored());
});

test('old segments go once their tiles are durable, and the log still opens', async () => {
  await using site = testSite();
  let ledger = await site.open({ segmentBytes: 128 << 10 });
  for (let i = 0; i < 6; i++) await roads(ledger, 200);
  const folder = join(site.dir, ledger.logId);
  await site.close();
  const segments = readdirSync(join(folder, 'wal')).filter((name) => name.endsWith('.wal'));
  assert.ok(segments.length <= 2, segments.join());
  ledger = await site.open({ segmentBytes: 128 << 10 });
  assert.equal(ledger.size(), 2400);
  await wholeRoad(ledger);
  await site.close();
  const source = { read: (path: string) => realDisk.readFile(join(folder, path)) };
  assert.deepEqual((await checkLog(source, ledger.vkey)).lines[0], 'valid');
});

test('an old copy of the data put back is refused, with what to do', async () => {
  await using site = testSite();
  await roads(await site.open(), 3);
  await site.close();
  const data = join(site.dir, '..');
  cpSync(data, join(site.top, 'old'), { recursive: true });
  await roads(await site.open(), 3);
  await site.close();
  rmSync(data, { recursive: true });
  cpSync(join(site.top, 'old'), data, { recursive: true });
  await assert.rejects(site.open(), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ledger.rolled_back');
    assert.match(error.message, /had 12 entries, but the data directory holds 6/);
    assert.match(error.message, /Put back the newest copy/);
    return true;
  });
});

test('a log without its newest entries is refused even without an anchor', async () => {
  await using site = testSite();
  const ledger = await site.open({ anchorDir: null });
  assert.equal(ledger.anchored(), false);
  await roads(ledger, 3);
  await site.close();
  rmSync(join(site.dir, ledger.logId, 'wal'), { recursive: true });
  await assert.rejects(site.open({ anchorDir: null }), { code: 'ledger.rolled_back' });
});

test('a log with another past than the anchored one is refused as forked', async () => {
  await using site = testSite();
  await roads(await site.open(), 2);
  await site.close();
  const data = join(site.dir, '..');
  cpSync(data, join(site.top, 'copy'), { recursive: true });
  await roads(await site.open(), 2);
  await site.close();
  rmSync(data, { recursive: true });
  cpSync(join(site.top, 'copy'), data, { recursive: true });
  // The copy runs on without the anchor, as one on another machine would.
  await roads(await site.open({ anchorDir: null }), 4);
  await site.close();
  await assert.rejects(site.open(), { code: 'ledger.forked' });
});

test('a deleted data directory starts clean with a new key', async () => {
  await using site = testSite();
  const before = await site.open();
  await roads(before, 2);
  await site.close();
  rmSync(join(site.dir, '..'), { recursive: true });
  const ledger = await site.open();
  assert.notEqual(ledger.logId, before.logId);
  assert.equal(ledger.size(), 0);
  await wholeRoad(ledger);
});

test('a damaged anchor is refused, a missing one is told of', async () => {
  await using site = testSite();
  await roads(await site.open(), 2);
  await site.close();
  const anchor = readdirSync(site.anchorDir).find((name) => name.endsWith('.anchor')) ?? assert.fail();
  const path = join(site.anchorDir, anchor);
  writeFileSync(path, readFileSync(path).fill(0xff));
  await assert.rejects(site.open(), { code: 'ledger.anchor_damaged' });
  rmSync(path);
  const warnings: string[] = [];
  const log: Log = { info: () => {}, warn: (event) => warnings.push(event), error: assert.fail };
  await site.open({ log });
  assert.deepEqual(warnings, ['ledger.anchor_was_empty']);
});

test('a second log over the same data is refused, and so is a second one over the same anchor', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await wholeRoad(ledger);
  await using other = testSite();
  assert.throws(() => lockFile(join(site.dir, 'lock.db')), { code: 'ledger.in_use' });
  cpSync(join(site.dir, '..', 'keys'), join(other.dir, '..', 'keys'), { recursive: true });
  await assert.rejects(other.open({ anchorDir: site.anchorDir }), { code: 'ledger.in_use' });
  await site.close();
  await assert.rejects(other.open({ anchorDir: site.anchorDir }), { code: 'ledger.rolled_back' });
});

test('a signer that finds the anchor moved by another hand signs nothing more', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const { rid } = await wholeRoad(ledger);
  await ledger.receipt(rid);
  const anchor = readdirSync(site.anchorDir).find((name) => name.endsWith('.anchor')) ?? assert.fail();
  const path = join(site.anchorDir, anchor);
  const before = readFileSync(path);
  const { rid: second } = await wholeRoad(ledger);
  await ledger.receipt(second);
  // The anchor as it was before the last swap: what a restored copy of the volume would hold.
  writeFileSync(path, before);
  const { rid: third } = await wholeRoad(ledger);
  await assert.rejects(ledger.receipt(third), { code: 'ledger.forked' });
});

test('keys are readable by their owner alone', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await wholeRoad(ledger);
  const keys = join(site.dir, '..', 'keys');
  const files = [
    ...readdirSync(keys).map((name) => join(keys, name)),
    join(site.dir, ledger.logId, 'roads'),
    join(site.dir, ledger.logId, 'day-keys'),
  ];
  assert.equal(files.length, 4);
  for (const file of files) assert.equal(statSync(file).mode & 0o077, 0, file);
});

test('a damaged tile is healed from the write-ahead log on start', async () => {
  await using site = testSite();
  const ledger = await site.open({ segmentBytes: 4 << 20 });
  await roads(ledger, 300);
  await site.close();
  const folder = join(site.dir, ledger.logId);
  const tile = join(folder, 'tile', '0', '000');
  const whole = readFileSync(tile);
  writeFileSync(tile, Buffer.from(whole).fill(7, 100, 101));
  const source = { read: (path: string) => realDisk.readFile(join(folder, path)) };
  const damaged = await checkLog(source, ledger.vkey);
  assert.equal(damaged.exit, 1);
  assert.match(damaged.lines.join('\n'), /tile\/0\/000: its hashes are not those of the entries/);
  await site.open({ segmentBytes: 4 << 20 });
  await site.close();
  assert.deepEqual(readFileSync(tile), whole);
});

test('a damaged tile or bundle that nothing can heal gives no receipt and names the check', async () => {
  for (const part of ['tile/0/000', 'tile/entries/000']) {
    await using site = testSite();
    let ledger = await site.open({ segmentBytes: 128 << 10 });
    const [first = ''] = await roads(ledger, 1);
    for (let i = 0; i < 5; i++) await roads(ledger, 150);
    await site.close();
    const file = join(site.dir, ledger.logId, part);
    const bytes = readFileSync(file);
    bytes[50] = (bytes[50] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    try {
      ledger = await site.open({ segmentBytes: 128 << 10 });
    } catch (error) {
      assert.match(String(error), /sekisho ledger check/);
      continue;
    }
    await assert.rejects(ledger.receipt(first), /sekisho ledger check/);
  }
});

test('allowed decisions without an outcome are found on start and can be closed', async () => {
  await using site = testSite();
  let ledger = await site.open();
  await roads(ledger, 3);
  const keys = newRoad(ledger);
  const index = await ledger.appendRoad(keys, decision(ledger, keys));
  const denied = newRoad(ledger);
  await ledger.appendRoad(denied, decision(ledger, denied, { effect: 'deny', to: null }));
  assert.deepEqual(await ledger.unfinished(), []);
  await site.close();
  ledger = await site.open();
  assert.deepEqual(await ledger.unfinished(), [{ rid: keys.rid, attempt: 1, index }]);
  const unknown = outcome(ledger, keys, { of: index, status: 'unknown', c: { res: null, peer: null } });
  await ledger.appendRecovered(unknown);
  assert.deepEqual(await ledger.unfinished(), []);
  assert.equal((await ledger.receipt(keys.rid))?.state, 'closed');
  await site.close();
  assert.deepEqual(await (await site.open()).unfinished(), []);
});

test('the road index is rebuilt when the database is gone or speaks of leaves that are not there', async () => {
  await using site = testSite();
  let ledger = await site.open({ segmentBytes: 128 << 10 });
  const made = await roads(ledger, 400);
  await site.close();
  const data = join(site.dir, '..');
  const files = readdirSync(data).filter((name) => statSync(join(data, name)).isFile());
  assert.ok(files.length > 0);
  for (const name of files) rmSync(join(data, name));
  ledger = await site.open({ segmentBytes: 128 << 10 });
  for (const rid of [made[0] ?? '', made[399] ?? '']) {
    assert.equal((await ledger.receipt(rid))?.state, 'closed');
    assert.equal(Object.keys((await ledger.opening(rid)) ?? {}).length, 3);
  }
  const key = join(data, 'keys', 'ledger-log.key');
  await site.close();
  // A new log under a new key, whose database speaks of the old one.
  rmSync(key);
  rmSync(site.dir, { recursive: true });
  ledger = await site.open();
  assert.equal(ledger.size(), 0);
  assert.equal(await ledger.receipt(made[0] ?? ''), null);
});

test('slots that a power loss took away cost no index: only their number is put right', async () => {
  await using site = testSite();
  let ledger = await site.open();
  const [rid = ''] = await roads(ledger, 3);
  const { logId } = ledger;
  await site.close();
  const data = join(site.dir, '..');
  const watermark = async (slots: number | null): Promise<number> => {
    await using database = await openDatabase({ url: 'sqlite', dir: data });
    const store = await RoadStore.open(database, logId);
    const { leaves } = await store.watermark();
    if (slots !== null) await store.write({ roads: [], sites: [], watermark: { leaves, slots } });
    return (await store.watermark()).slots;
  };
  assert.equal(await watermark(99_999), 99_999);
  const log: Log = { info: () => {}, warn: (event) => assert.fail(event), error: assert.fail };
  ledger = await site.open({ log });
  assert.equal((await ledger.receipt(rid))?.state, 'closed');
  assert.equal(Object.keys((await ledger.opening(rid)) ?? {}).length, 3);
  await site.close();
  assert.equal(await watermark(null), 3);
});

test('an anchor directory that cannot be used refuses the start when it was asked for, and warns when not', async () => {
  for (const place of ['/proc/nobody/anchor', '/dev/null/anchor']) {
    await using site = testSite();
    await assert.rejects(site.open({ anchorDir: place }), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ledger.unavailable');
      assert.match(error.message, /cannot use the anchor directory .*\(E\w+\).*ledger\.anchor/);
      return true;
    });
    const warnings: string[] = [];
    const log: Log = { info: () => {}, warn: (event) => warnings.push(event), error: assert.fail };
    const ledger = await site.open({ anchorDir: place, anchorOptional: true, log });
    assert.deepEqual(warnings, ['ledger.no_anchor']);
    assert.equal(ledger.anchored(), false);
    await wholeRoad(ledger);
  }
});

test('what an optional anchor says is not passed over', async () => {
  await using site = testSite();
  await roads(await site.open(), 2);
  await site.close();
  const anchor = readdirSync(site.anchorDir).find((name) => name.endsWith('.anchor')) ?? assert.fail();
  const path = join(site.anchorDir, anchor);
  writeFileSync(path, readFileSync(path).fill(0xff));
  await assert.rejects(site.open({ anchorOptional: true }), { code: 'ledger.anchor_damaged' });
});

test('folders, locks and entry bundles are for the owner alone', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await roads(ledger, 130);
  await site.close();
  const shown = ['checkpoint', /^tile\/\d/];
  for (const top of [site.dir, site.anchorDir])
    for (const name of ['', ...readdirSync(top, { recursive: true, encoding: 'utf8' })]) {
      const facts = statSync(join(top, name));
      const inLog = name.slice(ledger.logId.length + 1);
      const isPublic = facts.isFile() && shown.some((one) => inLog.match(one) !== null);
      assert.equal((facts.mode & 0o077) === 0, !isPublic, `${top}/${name} ${facts.mode.toString(8)}`);
    }
});

test('a published checkpoint that is cut off says nothing, a signed larger one refuses', async () => {
  await using site = testSite();
  const ledger = await site.open({ anchorDir: null, segmentBytes: SEGMENT_BYTES });
  await roads(ledger, 2);
  await site.close();
  const file = join(site.dir, ledger.logId, 'checkpoint');
  assert.ok(existsSync(file));
  writeFileSync(file, readFileSync(file).subarray(0, 20));
  await site.open({ anchorDir: null });
  await site.close();
  const signer = parseSigner(readFileSync(firstFile(join(site.dir, '..', 'keys')), 'utf8'));
  writeFileSync(file, signCheckpoint(signer, { size: 99, root: 'x'.repeat(32) }));
  await assert.rejects(site.open({ anchorDir: null }), { code: 'ledger.rolled_back' });
});
