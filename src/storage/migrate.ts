import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

import { Fault } from '../core/fault.ts';

interface MigrationTables {
  migration: { room: string; name: string };
}

const NAME = /^\d{3}-[a-z0-9]+(-[a-z0-9]+)*$/;

/**
 * Runs the room's migrations that have not run yet, each with its record in one transaction.
 * @throws Fault `storage.newer_database` when the database holds one that this program does not know.
 * @throws Fault `storage.migration_order` when one sorts before another that already ran.
 */
export async function runMigrations(
  db: Kysely<MigrationTables>,
  room: string,
  migrations: Readonly<Record<string, Migration>>,
): Promise<void> {
  for (const name of Object.keys(migrations)) {
    if (!NAME.test(name)) throw new TypeError(`expected a migration name like 001-what, found ${name}`);
  }
  await sql`create table if not exists migration (room text not null, name text not null, primary key (room, name))`.execute(
    db,
  );
  for (const name of Object.keys(migrations).sort()) {
    const migration = migrations[name];
    if (migration !== undefined) await runOnce({ db, room, names: Object.keys(migrations) }, name, migration);
  }
}

interface Run {
  readonly db: Kysely<MigrationTables>;
  readonly room: string;
  readonly names: readonly string[];
}

// What has run is read inside the transaction, so that a second process that migrates at once finds the work done.
async function runOnce({ db, room, names }: Run, name: string, migration: Migration): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const rows = await tx.selectFrom('migration').select('name').where('room', '=', room).execute();
    const done = rows.map((row) => row.name);
    refuseUnknown(room, names, done);
    if (done.includes(name)) return;
    refuseLate(room, name, done);
    await migration.up(tx);
    await tx.insertInto('migration').values({ room, name }).execute();
  });
}

function refuseUnknown(room: string, names: readonly string[], done: readonly string[]): void {
  const unknown = done.filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  const message = `the database is newer than this program: ${room} has run ${unknown.join(', ')}, which this program does not know; start the newer program`;
  throw new Fault('unavailable', 'storage.newer_database', message, { details: { room } });
}

function refuseLate(room: string, name: string, done: readonly string[]): void {
  const later = done.find((other) => other > name);
  if (later === undefined) return;
  throw new Fault('internal', 'storage.migration_order', `${room}: ${name} would run after ${later}`);
}
