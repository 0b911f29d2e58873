// Writes rows until it cannot: storage-child.ts DIR [BYTES-A-ROW]. Prints each row once it is acknowledged, then the
// fault, then how many rows a read sees.
import { writeSync } from 'node:fs';

import { sql, type Kysely } from 'kysely';

import { toFault } from '../../src/core/fault.ts';
import { openDatabase } from '../../src/storage/database.ts';

const WRITERS = 8;
const [dir = '', bytes = '100'] = process.argv.slice(2);
// A synchronous write: the line is the parent's before anything else can happen here.
const print = (line: string): void => void writeSync(1, `${line}\n`);

const database = await openDatabase({ url: 'sqlite', dir });
await database.migrate('notes', {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table note (id integer primary key, body text not null)`.execute(db);
    },
  },
});
const db = database.tables<{ note: { id: number; body: string } }>();
let next = 0;

async function writeUntilRefused(): Promise<void> {
  for (;;) {
    const id = ++next;
    await db
      .insertInto('note')
      .values({ id, body: 'x'.repeat(Number(bytes)) })
      .execute();
    print(`row ${id}`);
  }
}

const results = await Promise.allSettled(Array.from({ length: WRITERS }, writeUntilRefused));
for (const result of results) {
  if (result.status === 'rejected') print(`fault ${toFault(result.reason).code}`);
}
const { rows } = await sql<{ count: number }>`select count(*) as count from note`.execute(db);
print(`read ${rows[0]?.count}`);
await database[Symbol.asyncDispose]();
