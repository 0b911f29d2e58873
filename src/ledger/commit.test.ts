import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { silentLog } from '../core/log.ts';
import { systemWorld, type World } from '../core/world.ts';
import { GroupCommit, type Appendable } from './commit.ts';
import { realDisk, syncingFile, type Disk, type DiskFile } from './disk.ts';
import { Wal } from './wal.ts';

/** A disk whose syncs wait while it is held. */
class HeldDisk {
  syncs = 0;
  #held: PromiseWithResolvers<void> | null = null;

  readonly disk: Disk = {
    ...realDisk,
    open: async (path, how) => {
      const file = await realDisk.open(path, 'update');
      const counted: DiskFile = {
        ...file,
        datasync: async () => {
          this.syncs += 1;
          await this.#held?.promise;
          await file.datasync();
        },
      };
      return how === 'synced' ? syncingFile(counted) : counted;
    },
  };

  hold(): void {
    this.#held = Promise.withResolvers<void>();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }
}

interface Bench extends AsyncDisposable {
  readonly held: HeldDisk;
  readonly durable: string[];
  append(text: string, beside?: boolean): Promise<number>;
}

async function bench(world: World = systemWorld()): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'sekisho-commit-'));
  const held = new HeldDisk();
  const wal = await Wal.open({
    disk: held.disk,
    directory: join(folder, 'wal'),
    logId: '0a1b2c3d',
    segmentBytes: 4 << 20,
    log: silentLog,
    onBatch: () => assert.fail('the log is new'),
  });
  const durable: string[] = [];
  const commit = new GroupCommit<Appendable>({
    wal,
    world,
    onDurable: (index, { entry }) => {
      assert.equal(index, durable.length);
      durable.push(entry.toString());
    },
    onTrouble: (reason) => assert.fail(String(reason)),
  });
  await commit.append({ entry: Buffer.from('first') });
  // Segment, header and batch, and the next segment beside them: only syncs after these four are counted.
  while (held.syncs < 4) await nextTurn();
  held.syncs = 0;
  return {
    held,
    durable,
    append: (text, beside) => commit.append({ entry: Buffer.from(text) }, beside),
    async [Symbol.asyncDispose]() {
      await commit[Symbol.asyncDispose]();
      await wal[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

test('an idle log commits each append at once', async () => {
  await using log = await bench();
  for (let i = 1; i <= 5; i++) assert.equal(await log.append(`${i}`), i);
  assert.equal(log.held.syncs, 5);
});

test('what arrives while a sync is in flight shares the next one, in order', async () => {
  await using log = await bench();
  log.held.hold();
  const appended = [log.append('a')];
  while (log.held.syncs === 0) await nextTurn();
  for (let i = 0; i < 100; i++) appended.push(log.append(`b${i}`));
  assert.deepEqual(log.durable, ['first']);
  log.held.release();
  assert.deepEqual(
    await Promise.all(appended),
    appended.map((_, i) => i + 1),
  );
  assert.equal(log.held.syncs, 2);
  assert.deepEqual(log.durable.slice(0, 4), ['first', 'a', 'b0', 'b1']);
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test('appends of several tasks of one turn share a sync', async () => {
  await using log = await bench();
  const appended = [log.append('a')];
  for (let task = 0; task < 10; task++) await Promise.resolve();
  appended.push(log.append('b'));
  await Promise.all(appended);
  assert.equal(log.held.syncs, 1);
});

test('nothing is acknowledged before its sync returned', async () => {
  await using log = await bench();
  log.held.hold();
  let acknowledged = false;
  const appended = log.append('a').then(() => {
    acknowledged = true;
  });
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.equal(acknowledged, false);
  log.held.release();
  await appended;
  assert.equal(acknowledged, true);
});

test('the queue is bounded: beyond it appends are refused and the others still taken', async () => {
  await using log = await bench();
  log.held.hold();
  const taken = Array.from({ length: 16_384 }, (_, i) => log.append(`${i}`));
  await assert.rejects(log.append('too many'), { code: 'ledger.unavailable', kind: 'unavailable' });
  log.held.release();
  assert.equal((await Promise.all(taken)).at(-1), 16_384);
  assert.equal(log.durable.length, 16_385);
});

test('a busy log waits a moment for more, an idle one does not', async () => {
  const system = systemWorld();
  const slept: number[] = [];
  let elapsed = 0;
  const clock = {
    ...system.clock,
    elapsed: () => elapsed,
    sleep: async (ms: number) => {
      slept.push(ms);
    },
  };
  await using log = await bench({ ...system, clock });
  elapsed += 100;
  await log.append('calm');
  assert.deepEqual(slept, []);
  for (let i = 0; i < 300; i++) await log.append('busy');
  elapsed += 100;
  await log.append('measured');
  await log.append('busy');
  assert.ok(slept.length > 0);
  assert.deepEqual(new Set(slept), new Set([2]));
});

test('a leaf beside another is durable in the same sync, wherever a batch would end', async () => {
  await using b = await bench();
  b.held.hold();
  const blocking = b.append('blocks');
  while (b.held.syncs === 0) await nextTurn();
  // 2,047 leaves and one more fill a batch: without the bond the pair would be cut in two.
  const others = Array.from({ length: 2047 }, (_, i) => b.append(`other ${i}`));
  const closing = b.append('closes');
  const opening = b.append('opens', true);
  const syncs = new Map<string, number>();
  void closing.then(() => syncs.set('closes', b.held.syncs));
  void opening.then(() => syncs.set('opens', b.held.syncs));
  b.held.release();
  await Promise.all([blocking, ...others, closing, opening]);
  assert.equal(syncs.get('closes'), syncs.get('opens'));
  assert.deepEqual(b.durable.slice(-2), ['closes', 'opens']);
});
