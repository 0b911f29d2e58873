import { sql, type ColumnType, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

import type { Database } from '../storage/database.ts';
import { pendingDecisions, type RoadState } from './road-state.ts';

/** How far the index speaks for the log: leaves and slots below these numbers are in it. */
export interface Watermark {
  readonly leaves: number;
  readonly slots: number;
}

/** A road as the store keeps it, taken at one moment. */
export interface StoredRoad {
  readonly rid: string;
  readonly slot: number | null;
  readonly leaves: string;
  readonly pending: number;
}

export interface IndexChange {
  readonly roads: readonly StoredRoad[];
  readonly sites: readonly { readonly id: string; readonly index: number }[];
  readonly watermark: Watermark;
}

// PostgreSQL gives a bigint as text.
type Big = ColumnType<number | string, number, number>;

interface Tables {
  ledger_roads: Omit<StoredRoad, 'slot'> & {
    readonly log: string;
    readonly slot: ColumnType<number | string | null, number | null, number | null>;
  };
  ledger_sites: { log: string; id: string; leaf: Big };
  ledger_watermarks: { log: string; leaves: Big; slots: Big };
}

const ROWS_A_STATEMENT = 500;

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-road-index': {
    async up(db) {
      await db.schema
        .createTable('ledger_roads')
        .addColumn('log', 'text', (column) => column.notNull())
        .addColumn('rid', 'text', (column) => column.notNull())
        .addColumn('slot', 'bigint')
        .addColumn('leaves', 'text', (column) => column.notNull())
        .addColumn('pending', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('ledger_roads_key', ['log', 'rid'])
        .execute();
      await db.schema
        .createIndex('ledger_roads_pending')
        .on('ledger_roads')
        .column('log')
        .where(sql.ref('pending'), '>', 0)
        .execute();
      await db.schema
        .createTable('ledger_sites')
        .addColumn('log', 'text', (column) => column.notNull())
        .addColumn('id', 'text', (column) => column.notNull())
        .addColumn('leaf', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('ledger_sites_key', ['log', 'id', 'leaf'])
        .execute();
      await db.schema
        .createTable('ledger_watermarks')
        .addColumn('log', 'text', (column) => column.primaryKey())
        .addColumn('leaves', 'bigint', (column) => column.notNull())
        .addColumn('slots', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
};

/** The road index on disk: derived data that the log and the slots can rebuild at any time. */
export class RoadStore {
  readonly #tables: Kysely<Tables>;
  readonly #log: string;

  private constructor(tables: Kysely<Tables>, log: string) {
    this.#tables = tables;
    this.#log = log;
  }

  static async open(database: Database, log: string): Promise<RoadStore> {
    await database.migrate('ledger', MIGRATIONS);
    return new RoadStore(database.tables<Tables>(), log);
  }

  async watermark(): Promise<Watermark> {
    const row = await this.#tables
      .selectFrom('ledger_watermarks')
      .select(['leaves', 'slots'])
      .where('log', '=', this.#log)
      .executeTakeFirst();
    return { leaves: Number(row?.leaves ?? 0), slots: Number(row?.slots ?? 0) };
  }

  async roads(rids: readonly string[]): Promise<RoadState[]> {
    const rows = await this.#tables
      .selectFrom('ledger_roads')
      .select(['rid', 'slot', 'leaves'])
      .where('log', '=', this.#log)
      .where('rid', 'in', rids)
      .execute();
    return rows.map(roadOf);
  }

  async unfinished(): Promise<RoadState[]> {
    const rows = await this.#tables
      .selectFrom('ledger_roads')
      .select(['rid', 'slot', 'leaves'])
      .where('log', '=', this.#log)
      .where('pending', '>', 0)
      .execute();
    return rows.map(roadOf);
  }

  async site(id: string, from: number): Promise<number | null> {
    const row = await this.#tables
      .selectFrom('ledger_sites')
      .select('leaf')
      .where('log', '=', this.#log)
      .where('id', '=', id)
      .where('leaf', '>=', from)
      .orderBy('leaf')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? null : Number(row.leaf);
  }

  /** Everything or nothing: a watermark never speaks for rows that are not there. */
  async write(change: IndexChange): Promise<void> {
    await this.#tables.transaction().execute(async (tables) => {
      for (const roads of chunks(change.roads, ROWS_A_STATEMENT)) await this.#writeRoads(tables, roads);
      for (const sites of chunks(change.sites, ROWS_A_STATEMENT))
        await tables
          .insertInto('ledger_sites')
          .values(sites.map(({ id, index }) => ({ log: this.#log, id, leaf: index })))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      await tables
        .insertInto('ledger_watermarks')
        .values({ log: this.#log, ...change.watermark })
        .onConflict((conflict) => conflict.column('log').doUpdateSet(change.watermark))
        .execute();
    });
  }

  /** Forgets the log's rows, for an index that speaks of leaves which the log does not have. */
  async clear(): Promise<void> {
    await this.#tables.transaction().execute(async (tables) => {
      await tables.deleteFrom('ledger_roads').where('log', '=', this.#log).execute();
      await tables.deleteFrom('ledger_sites').where('log', '=', this.#log).execute();
      await tables.deleteFrom('ledger_watermarks').where('log', '=', this.#log).execute();
    });
  }

  async #writeRoads(tables: Kysely<Tables>, roads: readonly StoredRoad[]): Promise<void> {
    await tables
      .insertInto('ledger_roads')
      .values(roads.map((road) => ({ log: this.#log, ...road })))
      .onConflict((conflict) =>
        conflict.columns(['log', 'rid']).doUpdateSet((eb) => ({
          slot: eb.ref('excluded.slot'),
          leaves: eb.ref('excluded.leaves'),
          pending: eb.ref('excluded.pending'),
        })),
      )
      .execute();
  }
}

type StoredLeaves = Pick<RoadState, 'decisions' | 'outcomes'>;

/** A copy of the road for the store. */
export function storedRoad(road: RoadState): StoredRoad {
  const { rid, slot, decisions, outcomes } = road;
  const leaves = JSON.stringify({ decisions, outcomes } satisfies StoredLeaves);
  return { rid, slot, leaves, pending: pendingDecisions(road).length };
}

function roadOf(row: { rid: string; slot: number | string | null; leaves: string }): RoadState {
  // Written by `storedRoad` alone, into a column that no other code touches.
  const { decisions, outcomes } = JSON.parse(row.leaves) as StoredLeaves;
  return { rid: row.rid, slot: row.slot === null ? null : Number(row.slot), decisions, outcomes };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
