import { sql, type ColumnType, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { DAY } from '../../core/duration.ts';
import type { DecisionFacts } from '../../policy/replay.ts';
import type { CountedFacts } from '../../policy/what-if.ts';
import type { Database } from '../../storage/database.ts';

/** One decision: what it was made from by `facts`, the id of a set of facts. */
export interface DecisionRow {
  readonly rid: string;
  /** ms since 1970. */
  readonly t: number;
  readonly facts: string;
  readonly bundle: string;
  readonly effect: 'allow' | 'deny';
  readonly endpoint: string | null;
}

/** Rows that enter together; `missed` decisions of that day are in none of them. */
export interface DecisionBatch {
  readonly rows: readonly DecisionRow[];
  readonly facts: ReadonlyMap<string, DecisionFacts>;
  readonly missed: number;
  /** ms since 1970. */
  readonly now: number;
}

/** How long rows are kept; the older ones go first. */
export interface Retention {
  readonly days: number;
  readonly rows: number;
}

// PostgreSQL gives a bigint as text.
type Big = ColumnType<number | string, number, number>;
type StoredFacts = Omit<DecisionFacts, 'unlisted' | 'approved' | 'roles'> & {
  readonly unlisted: number;
  readonly approved: number;
  /** JSON. */
  readonly roles: string;
};

interface Tables {
  decision_facts: StoredFacts & { readonly id: string };
  decisions: Omit<DecisionRow, 't'> & { readonly t: Big };
  decision_days: { facts: string; day: Big; decisions: Big };
  decision_gaps: { day: Big; decisions: Big };
}

/** Bounds how long a deletion holds the database. */
const ROWS_A_STATEMENT = 2000;

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table decision_facts (
        id text primary key,
        model text not null,
        asked text,
        label text not null,
        purpose text,
        unlisted integer not null,
        approved integer not null,
        tenant text not null,
        roles text not null
      )`.execute(db);
      await sql`create table decisions (
        rid text primary key,
        t bigint not null,
        facts text not null,
        bundle text not null,
        effect text not null,
        endpoint text
      )`.execute(db);
      await sql`create index decisions_by_facts on decisions (facts, t)`.execute(db);
      await sql`create index decisions_by_time on decisions (t)`.execute(db);
      await sql`create table decision_days (
        facts text not null,
        day bigint not null,
        decisions bigint not null,
        primary key (facts, day)
      )`.execute(db);
      await sql`create table decision_gaps (day bigint primary key, decisions bigint not null)`.execute(db);
    },
  },
};

/** Decisions by request, and how many were made from each set of facts on each day. */
export class DecisionStore {
  readonly #db: Kysely<Tables>;

  private constructor(database: Database) {
    this.#db = database.tables<Tables>();
  }

  static async open(database: Database): Promise<DecisionStore> {
    await database.migrate('decisions', MIGRATIONS);
    return new DecisionStore(database);
  }

  /** Everything or nothing. */
  async write({ rows, facts, missed, now }: DecisionBatch): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      if (rows.length > 0) {
        await tx
          .insertInto('decision_facts')
          .values([...facts].map(([id, each]) => ({ id, ...storedFacts(each) })))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        await tx
          .insertInto('decisions')
          .values([...rows])
          .execute();
        await tx
          .insertInto('decision_days')
          .values(daysOf(rows))
          .onConflict((conflict) =>
            conflict.columns(['facts', 'day']).doUpdateSet((eb) => ({
              decisions: eb('decision_days.decisions', '+', eb.ref('excluded.decisions')),
            })),
          )
          .execute();
      }
      if (missed > 0)
        await tx
          .insertInto('decision_gaps')
          .values({ day: dayOf(now), decisions: missed })
          .onConflict((conflict) =>
            conflict.column('day').doUpdateSet((eb) => ({
              decisions: eb('decision_gaps.decisions', '+', eb.ref('excluded.decisions')),
            })),
          )
          .execute();
    });
  }

  /** The sets of facts of all days since `since` (ms since 1970), the most frequent first. */
  async counted(since: number): Promise<CountedFacts[]> {
    const rows = await this.#db
      .selectFrom('decision_days')
      .innerJoin('decision_facts', 'decision_facts.id', 'decision_days.facts')
      .selectAll('decision_facts')
      .select((eb) => eb.fn.sum<number | string>('decision_days.decisions').as('total'))
      .where('decision_days.day', '>=', dayOf(since))
      .groupBy('decision_facts.id')
      .orderBy('total', 'desc')
      .orderBy('decision_facts.id')
      .execute();
    return rows.map(({ id, total, ...facts }) => ({ id, facts: factsOf(facts), count: Number(total) }));
  }

  /** How many decisions since `since` are in no row. */
  async missed(since: number): Promise<number> {
    const row = await this.#db
      .selectFrom('decision_gaps')
      .select((eb) => eb.fn.sum<number | string | null>('decisions').as('total'))
      .where('day', '>=', dayOf(since))
      .executeTakeFirst();
    return Number(row?.total ?? 0);
  }

  /** The latest requests of the first of these sets of facts that have any, then of the next. */
  async latest(facts: readonly string[], since: number, limit: number): Promise<string[]> {
    const rids: string[] = [];
    // One set at a time, since only then the index gives the latest without looking at all.
    for (const id of facts) {
      if (rids.length >= limit) break;
      const rows = await this.#db
        .selectFrom('decisions')
        .select('rid')
        .where('facts', '=', id)
        .where('t', '>=', dayOf(since) * DAY)
        .orderBy('t', 'desc')
        .limit(limit - rids.length)
        .execute();
      rids.push(...rows.map(({ rid }) => rid));
    }
    return rids;
  }

  async find(rid: string): Promise<{ row: DecisionRow; facts: DecisionFacts } | null> {
    const found = await this.#db
      .selectFrom('decisions')
      .innerJoin('decision_facts', 'decision_facts.id', 'decisions.facts')
      .selectAll()
      .where('rid', '=', rid)
      .executeTakeFirst();
    if (found === undefined) return null;
    const { rid: id, t, facts, bundle, effect, endpoint, ...rest } = found;
    return { row: { rid: id, t: Number(t), facts, bundle, effect, endpoint }, facts: factsOf(rest) };
  }

  /** Takes the requests' rows away, and out of the counts; gives how many there were. At most 1000 at a time. */
  async erase(rids: readonly string[]): Promise<number> {
    return this.#db.transaction().execute(async (tx) => {
      const rows = await tx
        .deleteFrom('decisions')
        .where('rid', 'in', rids)
        .returning(['facts', 't'])
        .execute();
      if (rows.length === 0) return 0;
      const counts = daysOf(rows.map(({ facts, t }) => ({ facts, t: Number(t) })));
      for (const { facts, day, decisions } of counts)
        await tx
          .updateTable('decision_days')
          .set({ decisions: sql<number>`decisions - ${decisions}` })
          .where('facts', '=', facts)
          .where('day', '=', day)
          .execute();
      for (const facts of new Set(counts.map((count) => count.facts))) {
        await tx.deleteFrom('decision_days').where('facts', '=', facts).where('decisions', '<=', 0).execute();
        await forgetUnused(tx, facts);
      }
      return rows.length;
    });
  }

  /** Lets go of what is older than the retention allows; `now` in ms since 1970. */
  async prune(retention: Retention, now: number): Promise<void> {
    const first = dayOf(now) - retention.days + 1;
    const beyond = await this.#db
      .selectFrom('decisions')
      .select('t')
      .orderBy('t', 'desc')
      .offset(retention.rows)
      .limit(1)
      .executeTakeFirst();
    await this.#removeRows(Math.max(first * DAY - 1, beyond === undefined ? 0 : Number(beyond.t)));
    await this.#db.transaction().execute(async (tx) => {
      await tx.deleteFrom('decision_days').where('day', '<', first).execute();
      await tx.deleteFrom('decision_gaps').where('day', '<', first).execute();
      await forgetUnused(tx, null);
    });
  }

  async #removeRows(until: number): Promise<void> {
    for (;;) {
      const gone = await this.#db
        .deleteFrom('decisions')
        .where('rid', 'in', (eb) =>
          eb.selectFrom('decisions').select('rid').where('t', '<=', until).limit(ROWS_A_STATEMENT),
        )
        .executeTakeFirst();
      if (gone.numDeletedRows < ROWS_A_STATEMENT) return;
    }
  }
}

async function forgetUnused(tx: Kysely<Tables>, id: string | null): Promise<void> {
  const unused = tx
    .deleteFrom('decision_facts')
    .where('id', 'not in', (eb) => eb.selectFrom('decision_days').select('facts'));
  await (id === null ? unused : unused.where('id', '=', id)).execute();
}

function daysOf(
  rows: readonly Pick<DecisionRow, 'facts' | 't'>[],
): { facts: string; day: number; decisions: number }[] {
  const days = new Map<string, { facts: string; day: number; decisions: number }>();
  for (const { facts, t } of rows) {
    const day = dayOf(t);
    const key = `${day} ${facts}`;
    days.set(key, { facts, day, decisions: (days.get(key)?.decisions ?? 0) + 1 });
  }
  return [...days.values()];
}

function dayOf(t: number): number {
  return Math.floor(t / DAY);
}

function storedFacts(facts: DecisionFacts): StoredFacts {
  return {
    ...facts,
    unlisted: Number(facts.unlisted),
    approved: Number(facts.approved),
    roles: JSON.stringify(facts.roles),
  };
}

function factsOf(stored: StoredFacts): DecisionFacts {
  const { model, asked, label, purpose, unlisted, approved, tenant, roles } = stored;
  // Written by `storedFacts` alone, into a column that no other code touches.
  const held = JSON.parse(roles) as string[];
  return {
    model,
    asked,
    label,
    purpose,
    unlisted: unlisted === 1,
    approved: approved === 1,
    tenant,
    roles: held,
  };
}
