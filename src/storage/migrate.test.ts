import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';

import { sql, type Kysely } from 'kysely';

import { openDatabase, type Database } from './database.ts';

async function open(t: TestContext, dir?: string): Promise<{ database: Database; dir: string }> {
  const folder = dir ?? mkdtempSync(path.join(tmpdir(), 'sekisho-migrate-'));
  const database = await openDatabase({ url: 'sqlite', dir: folder });
  t.after(async () => {
    await database[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  return { database, dir: folder };
}

const statement = (text: string) => ({
  up: async (db: Kysely<unknown>): Promise<void> => {
    await sql.raw(text).execute(db);
  },
});

const tables = async (database: Database): Promise<string[]> =>
  (await database.tables().introspection.getTables()).map((table) => table.name).sort();

test('runs each migration once, in the order of names, also after a restart', async (t) => {
  const { database, dir } = await open(t);
  const migrations = {
    '002-add-b': statement('alter table a add column b text'),
    '001-create-a': statement('create table a (id text)'),
  };
  await database.migrate('room', migrations);
  await database.migrate('room', migrations);
  const again = await open(t, dir);
  await again.database.migrate('room', {
    ...migrations,
    '003-create-c': statement('create table c (id text)'),
  });
  assert.deepEqual(await tables(again.database), ['a', 'c', 'migration']);
});

test('two rooms may use the same name', async (t) => {
  const { database } = await open(t);
  await database.migrate('one', { '001-create': statement('create table a (id text)') });
  await database.migrate('two', { '001-create': statement('create table b (id text)') });
  assert.deepEqual(await tables(database), ['a', 'b', 'migration']);
});

test('a migration that fails leaves nothing behind and can run again', async (t) => {
  const { database } = await open(t);
  const failing = {
    up: async (db: Kysely<unknown>): Promise<void> => {
      await sql`create table a (id text)`.execute(db);
      await sql`create table a (id text)`.execute(db);
    },
  };
  await assert.rejects(database.migrate('room', { '001-create': failing }));
  assert.deepEqual(await tables(database), ['migration']);
  await database.migrate('room', { '001-create': statement('create table a (id text)') });
  assert.deepEqual(await tables(database), ['a', 'migration']);
});

test('two programs that start at once do not run a migration twice', async (t) => {
  const { database, dir } = await open(t);
  const other = await open(t, dir);
  const migrations = { '001-create': statement('create table a (id text)') };
  await Promise.all([
    database.migrate('room', migrations),
    other.database.migrate('room', migrations),
    database.migrate('room', migrations),
  ]);
  assert.deepEqual(await tables(database), ['a', 'migration']);
});

test('refuses a database that a newer program has changed', async (t) => {
  const { database } = await open(t);
  const known = { '001-create': statement('create table a (id text)') };
  await database.migrate('room', { ...known, '002-later': statement('create table b (id text)') });
  await assert.rejects(database.migrate('room', known), {
    code: 'storage.newer_database',
    message: /newer than this program.*002-later/,
  });
});

test('refuses a migration that sorts before one that already ran, and names without order', async (t) => {
  const { database } = await open(t);
  const second = { '002-second': statement('create table b (id text)') };
  await database.migrate('room', second);
  await assert.rejects(
    database.migrate('room', { ...second, '001-first': statement('create table a (id text)') }),
    { code: 'storage.migration_order' },
  );
  await assert.rejects(database.migrate('room', { create: statement('select 1') }), TypeError);
});
