import { sql, type ColumnType, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { DAY } from '../../core/duration.ts';
import type { SiteEvent } from '../../ledger/types.ts';
import type { Database } from '../../storage/database.ts';
import type { Outbox } from '../../storage/outbox.ts';
import type { Ground } from './contract.ts';

/** One erasure; `t` in ms since 1970. It names no subject. */
export interface Erasure {
  readonly id: string;
  readonly rid: string;
  readonly ground: Ground;
  /** The key that erased. */
  readonly by: string;
  readonly t: number;
}

/** Requests that are erased together; `first` and `last` are the lowest and highest index of their leaves. */
export interface Batch {
  readonly id: string;
  /** Null for all; forgotten once the batch is done. */
  readonly tenant: string | null;
  /** Days since 1970 in UTC; the first that stays, or null. */
  readonly beforeDay: number | null;
  readonly ground: Ground;
  readonly by: string;
  readonly requests: number;
  readonly first: number;
  readonly last: number;
  /** Leaves of the log when it was ordered: what ended later is none of it. */
  readonly size: number;
}

interface Tables {
  erasure_batches: {
    readonly [M in keyof Batch]: Batch[M] extends number | null
      ? ColumnType<number | string | (Batch[M] & null), Batch[M], Batch[M]>
      : Batch[M];
  } & { done: number };
  // PostgreSQL gives a bigint as text.
  erasures: Omit<Erasure, 't'> & { readonly t: ColumnType<number | string, number, number>; done: number };
}

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table erasures (
        rid text primary key,
        id text not null unique,
        ground text not null,
        by text not null,
        t bigint not null,
        done integer not null
      )`.execute(db);
    },
  },
  '002-batches': {
    async up(db: Kysely<unknown>) {
      await sql`create table erasure_batches (
        id text primary key,
        tenant text,
        "beforeDay" integer,
        ground text not null,
        by text not null,
        requests bigint not null,
        first bigint not null,
        last bigint not null,
        size bigint not null,
        done integer not null
      )`.execute(db);
    },
  },
};

/** What was ordered to be erased, each with its leaf in the log; `done` once it is. */
export class ErasureStore {
  readonly #db: Kysely<Tables>;
  readonly #outbox: Outbox<SiteEvent>;

  private constructor(db: Kysely<Tables>, outbox: Outbox<SiteEvent>) {
    this.#db = db;
    this.#outbox = outbox;
  }

  static async open(database: Database, outbox: Outbox<SiteEvent>): Promise<ErasureStore> {
    await database.migrate('erasures', MIGRATIONS);
    return new ErasureStore(database.tables<Tables>(), outbox);
  }

  /** Commits the order and its leaf together; gives the one that stands, which may be an earlier one. */
  async order(erasure: Erasure): Promise<Erasure> {
    const { id, rid, ground, by } = erasure;
    return this.#db.transaction().execute(async (tx) => {
      const earlier = await tx.selectFrom('erasures').selectAll().where('rid', '=', rid).executeTakeFirst();
      if (earlier !== undefined) return erasureOf(earlier);
      await tx
        .insertInto('erasures')
        .values({ ...erasure, done: 0 })
        .execute();
      await this.#outbox.withLeaf(tx, { kind: 'erasure', id, rid, ground, by });
      return erasure;
    });
  }

  /** Commits a batch and its leaf together. The leaf says how many and where in the log, and not whose. */
  async orderBatch(batch: Batch): Promise<void> {
    const { id, ground, by, beforeDay, requests, first, last } = batch;
    const before = beforeDay === null ? null : beforeDay * DAY;
    await this.#db.transaction().execute(async (tx) => {
      await tx
        .insertInto('erasure_batches')
        .values({ ...batch, done: 0 })
        .execute();
      await this.#outbox.withLeaf(tx, { kind: 'erasure', id, ground, by, before, requests, first, last });
    });
  }

  async markBatchDone(id: string): Promise<void> {
    await this.#db
      .updateTable('erasure_batches')
      .set({ done: 1, tenant: null })
      .where('id', '=', id)
      .execute();
  }

  async undoneBatches(): Promise<Batch[]> {
    const rows = await this.#db.selectFrom('erasure_batches').selectAll().where('done', '=', 0).execute();
    return rows.map(({ id, tenant, beforeDay, ground, by, ...numbers }) => ({
      id,
      tenant,
      beforeDay: beforeDay === null ? null : Number(beforeDay),
      ground,
      by,
      requests: Number(numbers.requests),
      first: Number(numbers.first),
      last: Number(numbers.last),
      size: Number(numbers.size),
    }));
  }

  async markDone(rid: string): Promise<void> {
    await this.#db.updateTable('erasures').set({ done: 1 }).where('rid', '=', rid).execute();
  }

  /** Those that were ordered and may not have been carried out. */
  async undone(): Promise<Erasure[]> {
    const rows = await this.#db.selectFrom('erasures').selectAll().where('done', '=', 0).execute();
    return rows.map(erasureOf);
  }
}

function erasureOf({
  id,
  rid,
  ground,
  by,
  t,
}: Erasure | (Omit<Erasure, 't'> & { t: number | string })): Erasure {
  return { id, rid, ground, by, t: Number(t) };
}
