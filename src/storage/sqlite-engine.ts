import { constants, DatabaseSync, type StatementSync } from 'node:sqlite';

import { NO_RESULT, type SqliteFailure, type SqlValue, type StatementResult } from './sqlite-protocol.ts';

const BUSY_TIMEOUT_MS = 5_000;
const STATEMENTS_KEPT = 500;
const WAL_KEPT_BYTES = 64 * 1024 * 1024;

// The pragmas that only tell; every other pragma with an argument would let a statement switch a guard off.
const TELLING_PRAGMAS = new Set([
  'table_info',
  'table_xinfo',
  'table_list',
  'index_list',
  'index_info',
  'index_xinfo',
  'foreign_key_list',
  'foreign_key_check',
  'integrity_check',
  'quick_check',
]);

type Control = 'begin immediate' | 'commit' | 'rollback' | 'savepoint s' | 'release s' | 'rollback to s';

/** One SQLite connection: the guards, prepared statements, and its own transactions, which no statement can touch. */
export class SqliteEngine {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, { statement: StatementSync; reader: boolean }>();
  readonly #controls = new Map<Control, StatementSync>();
  #controlling = false;

  constructor(path: string, access: 'write' | 'read') {
    this.#database = new DatabaseSync(path, {
      timeout: BUSY_TIMEOUT_MS,
      readOnly: access === 'read',
      enableForeignKeyConstraints: true,
      defensive: true,
    });
    if (access === 'write') {
      this.#database.exec('pragma journal_mode = wal');
      this.#database.exec('pragma synchronous = full');
      // A deleted row's bytes would otherwise stay in the file until something else needs the room.
      this.#database.exec('pragma secure_delete = on');
      this.#database.exec(`pragma journal_size_limit = ${WAL_KEPT_BYTES}`);
    }
    this.#database.setAuthorizer((action, first, second) => this.#authorize(action, first, second));
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  control(sql: Control): void {
    this.#controlling = true;
    try {
      let statement = this.#controls.get(sql);
      if (statement === undefined) this.#controls.set(sql, (statement = this.#database.prepare(sql)));
      statement.run();
    } finally {
      this.#controlling = false;
    }
  }

  /** Empties the write-ahead file, which holds pages as they were before a deletion. */
  scrub(): void {
    this.#controlling = true;
    try {
      const answer = this.#database.prepare('pragma wal_checkpoint(truncate)').get();
      if (answer?.['busy'] !== 0) throw new Error('the write-ahead file is in use');
    } finally {
      this.#controlling = false;
    }
  }

  run(sql: string, values: readonly SqlValue[]): StatementResult {
    const { statement, reader } = this.#prepare(sql);
    const bound = values.map(bindable);
    if (reader) return { ...NO_RESULT, rows: statement.all(...bound) };
    const { changes, lastInsertRowid } = statement.run(...bound);
    return { rows: [], changes: Number(changes), lastId: Number(lastInsertRowid) };
  }

  close(): void {
    this.#database.close();
  }

  #prepare(sql: string): { statement: StatementSync; reader: boolean } {
    const kept = this.#statements.get(sql);
    if (kept !== undefined) return kept;
    const statement = this.#database.prepare(sql);
    const prepared = { statement, reader: statement.columns().length > 0 };
    if (this.#statements.size >= STATEMENTS_KEPT) this.#statements.clear();
    this.#statements.set(sql, prepared);
    return prepared;
  }

  // ATTACH, and VACUUM which attaches, can read and write any file of the machine, past Node's permission model.
  #authorize(action: number, first: string | null, second: string | null): number {
    const own = this.#controlling;
    switch (action) {
      case constants.SQLITE_ATTACH:
      case constants.SQLITE_DETACH:
        return constants.SQLITE_DENY;
      case constants.SQLITE_TRANSACTION:
      case constants.SQLITE_SAVEPOINT:
        return own ? constants.SQLITE_OK : constants.SQLITE_DENY;
      case constants.SQLITE_PRAGMA:
        return own || second === null || TELLING_PRAGMAS.has(first ?? '')
          ? constants.SQLITE_OK
          : constants.SQLITE_DENY;
      default:
        return constants.SQLITE_OK;
    }
  }
}

export function toFailure(thrown: unknown): SqliteFailure {
  if (!(thrown instanceof Error)) return { message: String(thrown), code: null };
  const code = 'errcode' in thrown && typeof thrown.errcode === 'number' ? thrown.errcode : null;
  return { message: thrown.message, code };
}

// node:sqlite binds every number as REAL, which a TEXT column would keep as '1.0'.
function bindable(value: SqlValue): SqlValue {
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
}
