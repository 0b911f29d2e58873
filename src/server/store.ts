import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Database } from '../storage/database.ts';
import type { Outbox, OutboxLeaf } from '../storage/outbox.ts';

interface BundleTables {
  adopted_bundles: {
    hash: string;
    version: number;
    adopted: number;
    file: string | null;
    previous: string | null;
    emergency: number | null;
    signers: string | null;
    leaf: string | null;
  };
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
  '002-content': {
    async up(db: Kysely<unknown>) {
      await sql`alter table adopted_bundles add column file text`.execute(db);
      await sql`alter table adopted_bundles add column previous text`.execute(db);
      await sql`alter table adopted_bundles add column emergency bigint`.execute(db);
      await sql`alter table adopted_bundles add column signers text`.execute(db);
      await sql`alter table adopted_bundles add column leaf text`.execute(db);
    },
  },
};

/** A bundle that ran or runs; `adopted` in ms since 1970. */
export interface AdoptedBundle {
  readonly hash: string;
  readonly version: number;
  readonly adopted: number;
  /** The signed file; null for one that an earlier release adopted. */
  readonly file: string | null;
  readonly previous: string | null;
  readonly emergency: boolean;
  /** `name+id` of each that signed. */
  readonly signers: readonly string[];
  /** The id of its leaf. */
  readonly leaf: string | null;
}

/** An adopted bundle without its content. */
export type AdoptedFacts = Omit<AdoptedBundle, 'file'>;

const FACTS = ['hash', 'version', 'adopted', 'previous', 'emergency', 'signers', 'leaf'] as const;

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

  /** Notes the bundle and its leaf together. */
  async adopt(bundle: AdoptedBundle, leaf: L): Promise<void> {
    const row = {
      ...bundle,
      emergency: bundle.emergency ? 1 : 0,
      signers: JSON.stringify(bundle.signers),
    };
    await this.#db.transaction().execute(async (tx) => {
      await tx.insertInto('adopted_bundles').values(row).execute();
      await this.#outbox.withLeaf(tx, leaf);
    });
  }

  /** The highest version, or null before the first. */
  async latest(): Promise<AdoptedBundle | null> {
    const row = await this.#db
      .selectFrom('adopted_bundles')
      .selectAll()
      .orderBy('version', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? null : { ...factsOf(row), file: row.file };
  }

  async file(version: number): Promise<string | null> {
    const row = await this.#db
      .selectFrom('adopted_bundles')
      .select('file')
      .where('version', '=', version)
      .executeTakeFirst();
    return row?.file ?? null;
  }

  /** Oldest first. */
  async history(): Promise<readonly AdoptedFacts[]> {
    const rows = await this.#db.selectFrom('adopted_bundles').select(FACTS).orderBy('version').execute();
    return rows.map(factsOf);
  }

  async has(hash: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('adopted_bundles')
      .select('hash')
      .where('hash', '=', hash)
      .executeTakeFirst();
    return row !== undefined;
  }
}

function factsOf(row: Omit<BundleTables['adopted_bundles'], 'file'>): AdoptedFacts {
  const { hash, version, adopted, previous, emergency, signers, leaf } = row;
  // Written by `adopt` alone, which takes a list of texts.
  const names = signers === null ? [] : (JSON.parse(signers) as string[]);
  return { hash, version, adopted, previous, emergency: emergency === 1, signers: names, leaf };
}
