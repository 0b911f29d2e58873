import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Database } from '../storage/database.ts';
import type { Outbox, OutboxLeaf } from '../storage/outbox.ts';

interface BundleTables {
  adopted_bundles: { hash: string; version: number; adopted: number };
}

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table adopted_bundles (
        hash text primary key,
        version bigint not null,
        adopted bigint not null
      )`.execute(db);
    },
  },
};

/** The bundles that have run, each with its leaf in the log. */
export class BundleStore<L extends OutboxLeaf> {
  readonly #db: Kysely<BundleTables>;
  readonly #outbox: Outbox<L>;

  private constructor(database: Database, outbox: Outbox<L>) {
    this.#db = database.tables<BundleTables>();
    this.#outbox = outbox;
  }

  static async open<L extends OutboxLeaf>(database: Database, outbox: Outbox<L>): Promise<BundleStore<L>> {
    await database.migrate('server', MIGRATIONS);
    return new BundleStore(database, outbox);
  }

  /** Notes the bundle and its leaf together, once; `adopted` in ms since 1970. */
  async adopt(bundle: { hash: string; version: number; adopted: number }, leaf: L): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      const known = await tx
        .selectFrom('adopted_bundles')
        .select('hash')
        .where('hash', '=', bundle.hash)
        .executeTakeFirst();
      if (known !== undefined) return;
      await tx.insertInto('adopted_bundles').values(bundle).execute();
      await this.#outbox.withLeaf(tx, leaf);
    });
  }
}
