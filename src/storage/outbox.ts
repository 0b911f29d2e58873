import { sql, type Kysely, type Transaction } from 'kysely';
import type { Migration } from 'kysely/migration';

import { canonicalJson, type Json } from '../core/canonical-json.ts';
import { Fault } from '../core/fault.ts';
import type { Database } from './database.ts';

/** A leaf on its way to the log; its `id` is unique, so that an append can be recognised after a crash. */
export interface OutboxLeaf {
  readonly kind: string;
  readonly id: string;
  readonly [member: string]: unknown;
}

/** The log as the outbox needs it. Every promise that resolves speaks of durable state. */
export interface OutboxLog<L extends OutboxLeaf> {
  /** Number of durable leaves. */
  size(): number;
  append(leaf: L): Promise<number>;
  /** The index of the leaf with this id among those at or after `from`, or null. */
  find(id: string, from: number): Promise<number | null>;
}

/** A change in the database and its leaf in the log happen together or not at all, each leaf exactly once. */
export interface Outbox<L extends OutboxLeaf> {
  /** Puts the leaf into the transaction of the change that it records. @throws TypeError outside a transaction */
  withLeaf<T>(tx: Transaction<T>, leaf: L): Promise<void>;
  /** Appends every committed leaf in order; rejects with the log's Fault and may be called again. */
  pump(): Promise<void>;
  /** The log index of a leaf, null while it has none, for an unknown id too. */
  indexOf(id: string): Promise<number | null>;
  /** Number of committed leaves that are not known to be in the log. */
  pending(): Promise<number>;
}

interface OutboxTables {
  outbox: {
    id: string;
    seq: number;
    leaf: string;
    log_size: number | null;
    log_index: number | null;
  };
}

/** Call `pump` once after opening: an earlier process may have left leaves behind. */
export async function openOutbox<L extends OutboxLeaf>(
  database: Database,
  log: OutboxLog<L>,
): Promise<Outbox<L>> {
  await database.migrate('outbox', MIGRATIONS);
  const db = database.tables<OutboxTables>();
  let last: Promise<void> = Promise.resolve();
  return {
    withLeaf: (tx, leaf) => insertLeaf(tx, leaf),
    // One at a time: two pumps would append the same leaf twice.
    pump() {
      const next = last.then(() => pumpAll(db, log));
      last = next.catch(() => {});
      return next;
    },
    async indexOf(id) {
      const row = await db.selectFrom('outbox').select('log_index').where('id', '=', id).executeTakeFirst();
      return row?.log_index ?? null;
    },
    async pending() {
      const row = await db
        .selectFrom('outbox')
        .select((e) => e.fn.countAll<number>().as('count'))
        .where('log_index', 'is', null)
        .executeTakeFirstOrThrow();
      return row.count;
    },
  };
}

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table outbox (
        id text primary key,
        seq bigint not null unique,
        leaf text not null,
        log_size bigint,
        log_index bigint
      )`.execute(db);
      await sql`create index outbox_pending on outbox (seq) where log_index is null`.execute(db);
    },
  },
};

async function insertLeaf<T>(tx: Transaction<T>, leaf: OutboxLeaf): Promise<void> {
  // The type can be bypassed; outside a transaction leaf and change could come apart.
  if (!tx.isTransaction) throw new TypeError('expected the transaction of the change');
  // A leaf holds JSON values only; canonicalJson throws on any other.
  const text = canonicalJson(leaf as OutboxLeaf & { readonly [member: string]: Json });
  await sql`insert into outbox (id, seq, leaf)
    select ${leaf.id}, coalesce(max(seq), 0) + 1, ${text} from outbox`.execute(tx);
}

async function pumpAll<L extends OutboxLeaf>(db: Kysely<OutboxTables>, log: OutboxLog<L>): Promise<void> {
  const rows = await db
    .selectFrom('outbox')
    .selectAll()
    .where('log_index', 'is', null)
    .orderBy('seq')
    .execute();
  for (const row of rows) {
    const index = (await findEarlier(log, row)) ?? (await appendNew(db, log, row));
    await db.updateTable('outbox').set({ log_index: index }).where('id', '=', row.id).execute();
  }
}

// A noted size says that an append may have begun, so that a leaf at or after it may be this one.
async function findEarlier<L extends OutboxLeaf>(
  log: OutboxLog<L>,
  row: OutboxTables['outbox'],
): Promise<number | null> {
  if (row.log_size === null) return null;
  if (row.log_size > log.size()) {
    const message = `the log has ${log.size()} leaves, the database saw ${row.log_size}: one of them is an old copy`;
    throw new Fault('internal', 'storage.log_behind', message);
  }
  return log.find(row.id, row.log_size);
}

async function appendNew<L extends OutboxLeaf>(
  db: Kysely<OutboxTables>,
  log: OutboxLog<L>,
  row: OutboxTables['outbox'],
): Promise<number> {
  if (row.log_size === null) {
    await db.updateTable('outbox').set({ log_size: log.size() }).where('id', '=', row.id).execute();
  }
  // The row was written by `withLeaf`, which takes leaves of this type only.
  return log.append(JSON.parse(row.leaf) as L);
}
