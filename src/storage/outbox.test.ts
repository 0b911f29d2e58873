import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openDatabase } from './database.ts';
import { openOutbox, type OutboxLeaf, type OutboxLog } from './outbox.ts';
import { changeOnce, openNotes } from '../../test/support/outbox-site.ts';
import { fileLog, loggedIds } from '../../test/support/outbox-log.ts';

const CHILD = fileURLToPath(new URL('../../test/support/outbox-child.ts', import.meta.url));

function directory(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-outbox-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function open(t: TestContext, dir = directory(t), log: OutboxLog<OutboxLeaf> = fileLog(dir)) {
  const database = await openDatabase({ url: 'sqlite', dir });
  t.after(() => database[Symbol.asyncDispose]());
  const db = await openNotes(database);
  return { dir, db, outbox: await openOutbox(database, log) };
}

test('a change and its leaf appear together, in the order of the changes', async (t) => {
  const { dir, db, outbox } = await open(t);
  for (const id of ['a', 'b', 'c']) await changeOnce(db, outbox, id);
  assert.equal(await outbox.pending(), 3);
  assert.equal(await outbox.indexOf('a'), null);
  await Promise.all([outbox.pump(), outbox.pump(), outbox.pump()]);
  assert.deepEqual(loggedIds(dir), ['a', 'b', 'c']);
  assert.equal(await outbox.indexOf('c'), 2);
  assert.equal(await outbox.pending(), 0);
});

test('a change that fails leaves no leaf, a leaf that fails leaves no change', async (t) => {
  const { dir, db, outbox } = await open(t);
  const failing = db.transaction().execute(async (tx) => {
    await outbox.withLeaf(tx, { kind: 'control', id: 'x' });
    throw new Error('planted');
  });
  await assert.rejects(failing, /planted/);
  await changeOnce(db, outbox, 'a');
  await assert.rejects(
    db.transaction().execute(async (tx) => {
      await tx.insertInto('note').values({ id: 'second' }).execute();
      await outbox.withLeaf(tx, { kind: 'control', id: 'a' });
    }),
    { code: 'storage.constraint' },
  );
  await assert.rejects(
    db.transaction().execute((tx) => outbox.withLeaf(tx, { kind: 'control', id: 'y', share: 0.5 })),
    { code: 'core.not_canonical' },
  );
  await outbox.pump();
  assert.deepEqual(loggedIds(dir), ['a']);
  assert.deepEqual(await db.selectFrom('note').select('id').execute(), [{ id: 'a' }]);
});

test('a leaf outside a transaction is refused', async (t) => {
  const { db, outbox } = await open(t);
  const outside: Promise<void> = Reflect.apply(Reflect.get(outbox, 'withLeaf'), outbox, [
    db,
    { kind: 'control', id: 'a' },
  ]);
  await assert.rejects(outside, TypeError);
});

test('an append that fails after it reached the disk is recognised by the next pump', async (t) => {
  const dir = directory(t);
  const real = fileLog(dir);
  let failures = 2;
  const { db, outbox } = await open(t, dir, {
    ...real,
    async append(leaf) {
      const index = await real.append(leaf);
      if (failures-- > 0) throw new Error('the answer was lost');
      return index;
    },
  });
  for (const id of ['a', 'b', 'c']) await changeOnce(db, outbox, id);
  await assert.rejects(outbox.pump(), /lost/);
  await assert.rejects(outbox.pump(), /lost/);
  await outbox.pump();
  assert.deepEqual(loggedIds(dir), ['a', 'b', 'c']);
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map((id) => outbox.indexOf(id))), [0, 1, 2]);
});

test('without looking for the leaf an append would be doubled: the test sees what it guards', async (t) => {
  const dir = directory(t);
  const real = fileLog(dir);
  let first = true;
  const { db, outbox } = await open(t, dir, {
    ...real,
    find: async () => null,
    async append(leaf) {
      const index = await real.append(leaf);
      if (first) {
        first = false;
        throw new Error('the answer was lost');
      }
      return index;
    },
  });
  await changeOnce(db, outbox, 'a');
  await assert.rejects(outbox.pump());
  await outbox.pump();
  assert.deepEqual(loggedIds(dir), ['a', 'a']);
});

test('a log shorter than the database remembers is refused, not filled again', async (t) => {
  const dir = directory(t);
  writeFileSync(path.join(dir, 'log'), '{"id":"before"}\n');
  const failing: OutboxLog<OutboxLeaf> = { ...fileLog(dir), append: () => Promise.reject(new Error('disk')) };
  const { db, outbox } = await open(t, dir, failing);
  await changeOnce(db, outbox, 'a');
  await assert.rejects(outbox.pump(), /disk/);
  writeFileSync(path.join(dir, 'log'), '');
  await assert.rejects(outbox.pump(), { code: 'storage.log_behind' });
});

for (const point of ['in-transaction', 'committed', 'size-noted', 'appended', 'marked']) {
  test(`a process killed at the point "${point}" leaves change and leaf together, once`, async (t) => {
    const dir = directory(t);
    assert.equal(await killedAt(dir, point), 'SIGKILL');
    const { db, outbox } = await open(t, dir);
    await outbox.pump();
    await outbox.pump();
    const changes = (await db.selectFrom('note').select('id').execute()).map((row) => row.id);
    assert.deepEqual(changes, point === 'in-transaction' ? ['first'] : ['first', 'second']);
    assert.deepEqual(loggedIds(dir), changes);
  });
}

function killedAt(dir: string, point: string): Promise<NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, dir, point], { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (_code, signal) => resolve(signal));
  });
}
