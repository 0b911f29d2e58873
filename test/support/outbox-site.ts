import { sql, type Kysely, type Transaction } from 'kysely';

import type { Database } from '../../src/storage/database.ts';
import type { Outbox, OutboxLeaf } from '../../src/storage/outbox.ts';

export interface NoteTables {
  note: { id: string };
}

/** A room with one table. */
export async function openNotes(database: Database): Promise<Kysely<NoteTables>> {
  await database.migrate('notes', {
    '001-create': {
      async up(db: Kysely<unknown>) {
        await sql`create table note (id text primary key)`.execute(db);
      },
    },
  });
  return database.tables<NoteTables>();
}

/** A change with its leaf; `before` runs just before the commit. */
export function changeOnce(
  db: Kysely<NoteTables>,
  outbox: Outbox<OutboxLeaf>,
  id: string,
  before: (tx: Transaction<NoteTables>) => void = () => {},
): Promise<void> {
  return db.transaction().execute(async (tx) => {
    await tx.insertInto('note').values({ id }).execute();
    await outbox.withLeaf(tx, { kind: 'control', id });
    before(tx);
  });
}
