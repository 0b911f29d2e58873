import type { Kysely, Migration } from 'kysely';

/**
 * The site's database. Rooms see it through `tables<T>()` in their `store.ts` and nowhere else. Every write that
 * resolves is durable.
 */
export interface Database extends AsyncDisposable {
  readonly dialect: 'sqlite' | 'postgres';
  tables<T>(): Kysely<T>;
  /** Runs the room's migrations that have not run yet, in the order of their names (`001-what`). */
  migrate(room: string, migrations: Readonly<Record<string, Migration>>): Promise<void>;
}
