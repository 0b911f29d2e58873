import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';

import { sql, type Kysely } from 'kysely';

import { openDatabase, type Database } from './database.ts';

interface Tables {
  note: { id: string; seq: number; body: string | Uint8Array | null };
}

const CREATE = {
  '001-create': {
    up: async (db: Kysely<unknown>): Promise<void> => {
      await sql`create table note (id text primary key, seq bigint not null, body text)`.execute(db);
    },
  },
};

function directory(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-storage-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function open(t: TestContext, options: { dir?: string; transactionIdleMs?: number } = {}) {
  const database = await openDatabase({ url: 'sqlite', dir: directory(t), ...options });
  t.after(() => database[Symbol.asyncDispose]());
  await database.migrate('notes', CREATE);
  return { database, db: database.tables<Tables>() };
}

const insert = (db: Kysely<Tables>, id: string, seq = 1) =>
  db.insertInto('note').values({ id, seq, body: null }).execute();

const ids = async (db: Kysely<Tables>): Promise<string[]> =>
  (await db.selectFrom('note').select('id').orderBy('id').execute()).map((row) => row.id);

const pragma = async (database: Database, name: string): Promise<unknown> => {
  const { rows } = await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(
    database.tables(),
  );
  return Object.values(rows[0] ?? {})[0];
};

test('keeps text, integers, bytes and null as they were given, also across a reopening', async (t) => {
  const dir = directory(t);
  const first = await open(t, { dir });
  const bytes = Buffer.from('pooled bytes');
  await first.db
    .insertInto('note')
    .values([
      { id: '1', seq: Number.MAX_SAFE_INTEGER, body: bytes },
      { id: '2', seq: -1, body: '関所' },
    ])
    .execute();
  await first.database[Symbol.asyncDispose]();
  const { db } = await open(t, { dir });
  const rows = await db.selectFrom('note').selectAll().orderBy('id').execute();
  assert.deepEqual(rows, [
    { id: '1', seq: Number.MAX_SAFE_INTEGER, body: new Uint8Array(bytes) },
    { id: '2', seq: -1, body: '関所' },
  ]);
});

test('a number put into a text column reads as an integer, not as 1.0', async (t) => {
  const { db } = await open(t);
  await sql`insert into note (id, seq) values (${1}, ${2})`.execute(db);
  assert.deepEqual(await ids(db), ['1']);
});

test('counts changed rows and returns rows of RETURNING', async (t) => {
  const { db } = await open(t);
  await insert(db, 'a');
  await insert(db, 'b');
  const updated = await db.updateTable('note').set({ seq: 5 }).executeTakeFirst();
  assert.equal(updated.numUpdatedRows, 2n);
  const upserted = await db
    .insertInto('note')
    .values({ id: 'a', seq: 9, body: null })
    .onConflict((c) => c.column('id').doUpdateSet({ seq: 9 }))
    .returning(['id', 'seq'])
    .execute();
  assert.deepEqual(upserted, [{ id: 'a', seq: 9 }]);
});

test('refuses parameters that the two dialects would keep differently', async (t) => {
  const { db } = await open(t);
  for (const value of [true, undefined, new Date(0), 2n ** 60n, Number.NaN, { a: 1 }]) {
    await assert.rejects(sql`insert into note (id, seq) values ('x', ${value})`.execute(db), {
      code: 'storage.parameter',
    });
  }
});

test('a failing statement does not fail those that arrive in the same turn', async (t) => {
  const { db } = await open(t);
  await insert(db, 'b');
  const results = await Promise.allSettled([
    insert(db, 'a'),
    insert(db, 'b'),
    sql`insert or rollback into note (id, seq) values ('b', 1)`.execute(db),
    sql`insert or fail into note (id, seq) values ('c', 1), ('b', 1)`.execute(db),
    insert(db, 'd'),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled'],
  );
  for (const result of results) {
    if (result.status === 'rejected') assert.equal(result.reason.code, 'storage.constraint');
  }
  assert.ok((await ids(db)).includes('a') && (await ids(db)).includes('d'));
});

test('statements of one turn share a transaction: one commit frame for all', async (t) => {
  const dir = directory(t);
  const { db } = await open(t, { dir });
  const wal = path.join(dir, 'sekisho.db-wal');
  const grown = async (work: () => Promise<unknown>): Promise<number> => {
    const before = statSync(wal).size;
    await work();
    return statSync(wal).size - before;
  };
  const together = await grown(() => Promise.all(Array.from({ length: 50 }, (_, i) => insert(db, `t${i}`))));
  const apart = await grown(async () => {
    for (let i = 0; i < 50; i++) await insert(db, `a${i}`);
  });
  assert.ok(together * 10 < apart, `${together} bytes together, ${apart} apart`);
});

test('a transaction that fails leaves nothing, one that succeeds everything', async (t) => {
  const { db } = await open(t);
  const failing = db.transaction().execute(async (tx) => {
    await insert(tx, 'a');
    await insert(tx, 'a');
  });
  await assert.rejects(failing, { code: 'storage.constraint' });
  assert.deepEqual(await ids(db), []);
  await db.transaction().execute(async (tx) => {
    await insert(tx, 'a');
    await insert(tx, 'b');
  });
  assert.deepEqual(await ids(db), ['a', 'b']);
});

test('transactions run one after another, and writes outside wait for them', async (t) => {
  const { db } = await open(t);
  await insert(db, 'n', 0);
  const add = () =>
    db.transaction().execute(async (tx) => {
      const row = await tx.selectFrom('note').select('seq').where('id', '=', 'n').executeTakeFirstOrThrow();
      await tx
        .updateTable('note')
        .set({ seq: row.seq + 1 })
        .where('id', '=', 'n')
        .execute();
    });
  await Promise.all([...Array.from({ length: 20 }, add), insert(db, 'other')]);
  const row = await db.selectFrom('note').select('seq').where('id', '=', 'n').executeTakeFirstOrThrow();
  assert.equal(row.seq, 20);
});

test('reads outside a transaction go on beside it and see committed state only', async (t) => {
  const { db } = await open(t);
  await db.transaction().execute(async (tx) => {
    await insert(tx, 'a');
    assert.deepEqual(await ids(tx), ['a']);
    assert.deepEqual(await ids(db), []);
  });
  assert.deepEqual(await ids(db), ['a']);
});

test('a statement after the end of its transaction is refused', async (t) => {
  const { db } = await open(t);
  let leaked: Kysely<Tables> | undefined;
  await db.transaction().execute(async (tx) => {
    leaked = tx;
    await insert(tx, 'a');
  });
  assert.ok(leaked);
  await assert.rejects(insert(leaked, 'b'), /already committed/);
  assert.deepEqual(await ids(db), ['a']);
});

test('a transaction that waits for a write behind itself is rolled back instead of stopping the site', async (t) => {
  const { db } = await open(t, { transactionIdleMs: 30 });
  const stuck = db.transaction().execute(async (tx) => {
    await insert(tx, 'inside');
    await insert(db, 'outside');
  });
  await assert.rejects(stuck, { kind: 'unavailable', code: 'storage.transaction_over' });
  assert.deepEqual(await ids(db), ['outside']);
});

test('the file is in WAL mode, syncs fully, enforces foreign keys and is readable by its owner only', async (t) => {
  const dir = directory(t);
  const { database, db } = await open(t, { dir });
  await insert(db, 'a');
  assert.equal(await pragma(database, 'journal_mode'), 'wal');
  assert.equal(await pragma(database, 'synchronous'), 2);
  assert.equal(await pragma(database, 'foreign_keys'), 1);
  for (const name of ['sekisho.db', 'sekisho.db-wal', 'sekisho.db-shm']) {
    assert.equal(statSync(path.join(dir, name)).mode & 0o777, 0o600, name);
  }
});

test('no statement can attach a file, write one elsewhere, switch a guard off or end a transaction', async (t) => {
  const dir = directory(t);
  const { db } = await open(t, { dir });
  const other = path.join(dir, 'other.db');
  for (const text of [
    `attach database '${other}' as other`,
    `vacuum into '${other}'`,
    'pragma synchronous = off',
    'pragma journal_mode = delete',
    'pragma writable_schema = on',
    'begin',
    'savepoint mine',
  ]) {
    await assert.rejects(sql.raw(text).execute(db), { code: 'storage.forbidden' }, text);
  }
  await assert.rejects(
    db.transaction().execute((tx) => sql`commit`.execute(tx)),
    {
      code: 'storage.forbidden',
    },
  );
  await assert.rejects(sql`select load_extension('x')`.execute(db));
  assert.throws(() => statSync(other));
});

test('refuses a url of another kind without showing its password', async (t) => {
  const opening = openDatabase({ url: 'postgres://user:hunter2@host/db', dir: directory(t) });
  await assert.rejects(opening, (error: Error) => {
    assert.ok(!error.message.includes('hunter2'));
    return 'code' in error && error.code === 'storage.unsupported';
  });
});

test('a closed database refuses statements and can be closed again', async (t) => {
  const { database, db } = await open(t);
  await database[Symbol.asyncDispose]();
  await assert.rejects(insert(db, 'a'), { code: 'storage.unavailable' });
  await database[Symbol.asyncDispose]();
});

test('closing lets what was asked before finish', async (t) => {
  const dir = directory(t);
  const { database, db } = await open(t, { dir });
  const writes = Array.from({ length: 20 }, (_, i) => insert(db, `w${i}`));
  await new Promise(setImmediate);
  await Promise.all([database[Symbol.asyncDispose](), ...writes]);
  assert.equal((await ids((await open(t, { dir })).db)).length, 20);
});

test('a directory or a file that cannot be used is unavailable', async (t) => {
  const dir = directory(t);
  const file = path.join(dir, 'file');
  writeFileSync(file, '');
  await assert.rejects(openDatabase({ url: 'sqlite', dir: file }), { code: 'storage.unavailable' });
  writeFileSync(path.join(dir, 'sekisho.db'), 'this is no database'.repeat(1000));
  await assert.rejects(openDatabase({ url: 'sqlite', dir }), {
    kind: 'unavailable',
    code: 'storage.unavailable',
  });
});
