import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { sql, type Kysely } from 'kysely';

import { openDatabase } from './database.ts';

interface Tables {
  note: { id: string; seq: number; body: string };
}

const CREATE = {
  '001-create': {
    up: async (db: Kysely<unknown>): Promise<void> => {
      await sql`create table note (id text primary key, seq bigint not null, body text)`.execute(db);
      await sql`create index note_by_body on note (body)`.execute(db);
    },
  },
};

test('after a scrub no file of the database holds what was deleted, and all of what was not', async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-scrub-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const found = (marks: readonly string[]): number => {
    const all = readdirSync(dir).map((file) => readFileSync(path.join(dir, file), 'latin1'));
    return marks.filter((mark) => all.some((text) => text.includes(mark))).length;
  };
  await using database = await openDatabase({ url: 'sqlite', dir });
  await database.migrate('notes', CREATE);
  const db = database.tables<Tables>();
  const marks = Array.from({ length: 3000 }, (_, seq) => `${(seq * 7919) % 3000}`.padStart(6, 'n') + 'CNRY');
  for (let at = 0; at < marks.length; at += 250)
    await db
      .insertInto('note')
      .values(marks.slice(at, at + 250).map((mark, seq) => ({ id: `id${mark}`, seq, body: `body${mark}` })))
      .execute();
  const gone = marks.filter((_, seq) => seq % 3 === 1);
  const kept = marks.filter((_, seq) => seq % 3 !== 1);
  for (const mark of gone) await db.deleteFrom('note').where('id', '=', `id${mark}`).execute();
  assert.ok(found(gone) > 0, 'the write-ahead file has them still');
  await database.scrub();
  assert.equal(found(gone.flatMap((mark) => [`id${mark}`, `body${mark}`])), 0);
  assert.equal(found(kept), kept.length);
});

test('a scrub waits for a transaction, and others write meanwhile and after it', async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-scrub-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  await using database = await openDatabase({ url: 'sqlite', dir });
  await database.migrate('notes', CREATE);
  const db = database.tables<Tables>();
  const row = (id: string): Tables['note'] => ({ id, seq: 1, body: id });
  const done: string[] = [];
  const open = db.transaction().execute(async (tx) => {
    await tx.insertInto('note').values(row('a')).execute();
    const scrub = database.scrub().then(() => done.push('scrub'));
    await tx.insertInto('note').values(row('b')).execute();
    done.push('transaction');
    return { scrub };
  });
  await (
    await open
  ).scrub;
  assert.deepEqual(done, ['transaction', 'scrub']);
  await db.insertInto('note').values(row('c')).execute();
  assert.equal((await db.selectFrom('note').selectAll().execute()).length, 3);
});
