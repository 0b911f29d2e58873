import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';

import { Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

import { syncFolderNow } from '../core/durable.ts';
import { Fault } from '../core/fault.ts';
import { SECOND } from '../core/duration.ts';
import { runMigrations } from './migrate.ts';
import { SqliteLink } from './sqlite-link.ts';
import { sqliteDialect } from './sqlite.ts';

/**
 * The site's database. Rooms see it through `tables<T>()` in their `store.ts` and nowhere else. Every write that
 * resolves is durable.
 */
export interface Database extends AsyncDisposable {
  readonly dialect: 'sqlite' | 'postgres';
  tables<T>(): Kysely<T>;
  /** Runs the room's migrations that have not run yet, in the order of their names (`001-what`). */
  migrate(room: string, migrations: Readonly<Record<string, Migration>>): Promise<void>;
  /** Resolves once nothing that was deleted before stands in the database's files any more. */
  scrub(): Promise<void>;
}

export interface DatabaseOptions {
  /** `sqlite`: a file in `dir`. */
  readonly url: string;
  readonly dir: string;
  /** Milliseconds after which an interactive transaction that asks for nothing is rolled back. */
  readonly transactionIdleMs?: number;
}

/**
 * Opens the site's database and creates it on first use, readable by its owner only.
 * @throws Fault `storage.unsupported` for another url, `storage.unavailable` when the file cannot be opened.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (options.url !== 'sqlite') {
    const found = options.url.split(':')[0] ?? '';
    throw new Fault('invalid', 'storage.unsupported', `expected storage.url to be sqlite, found ${found}:`);
  }
  const link = new SqliteLink({
    path: ownFile(options.dir),
    transactionIdleMs: options.transactionIdleMs ?? 10 * SECOND,
  });
  const dialect = sqliteDialect(link);
  await sql`select 1`.execute(new Kysely<unknown>({ dialect }));
  return {
    dialect: 'sqlite',
    tables: <T>() => new Kysely<T>({ dialect }),
    migrate: (room, migrations) => runMigrations(new Kysely({ dialect }), room, migrations),
    scrub: async () => void (await link.request({ op: 'scrub' })),
    [Symbol.asyncDispose]: () => link.close(),
  };
}

// SQLite would create the file readable by all; its companions (-wal, -shm) take this file's mode.
function ownFile(dir: string): string {
  const file = path.join(dir, 'sekisho.db');
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
    syncFolderNow(dir);
  } catch (error) {
    const message = `cannot open ${file}: ${error instanceof Error ? error.message : String(error)}`;
    throw new Fault('unavailable', 'storage.unavailable', message, { cause: error });
  }
  return file;
}
