import {
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from 'kysely';

import { Fault } from '../core/fault.ts';
import type { SqliteLink } from './sqlite-link.ts';
import type { SqlValue } from './sqlite-protocol.ts';

/** Kysely's SQLite over the worker; several connections share it, so that their statements can share a commit. */
export function sqliteDialect(link: SqliteLink): Dialect {
  const driver = sqliteDriver(link);
  return {
    createDriver: () => driver,
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new WorkerSqliteAdapter(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

class WorkerSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function sqliteDriver(link: SqliteLink): Driver {
  let lastSession = 0;
  return {
    // The worker starts with the first request and ends with the database, which owns the link.
    init: async () => {},
    destroy: async () => {},
    acquireConnection: async () => new WorkerConnection(link),
    releaseConnection: async () => {},
    beginTransaction: (connection) => own(connection).begin(++lastSession),
    commitTransaction: (connection) => own(connection).end('commit'),
    rollbackTransaction: (connection) => own(connection).end('rollback'),
  };
}

function own(connection: DatabaseConnection): WorkerConnection {
  if (connection instanceof WorkerConnection) return connection;
  throw new TypeError('the connection belongs to another driver');
}

class WorkerConnection implements DatabaseConnection {
  readonly #link: SqliteLink;
  #session: number | null = null;

  constructor(link: SqliteLink) {
    this.#link = link;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const values = query.parameters.map(sqlValue);
    const sql = query.sql;
    const session = this.#session;
    // SQLite allows no data change inside a SELECT, so its node alone tells that nothing is written.
    const alone = session === null && SelectQueryNode.is(query.query);
    const result = await this.#link.request(
      alone ? { op: 'read', sql, values } : { op: 'write', sql, values, session },
    );
    return {
      // The caller's query builder knows the columns; the database cannot.
      rows: result.rows as R[],
      ...(result.changes === null ? {} : { numAffectedRows: BigInt(result.changes) }),
      ...(result.lastId === null ? {} : { insertId: BigInt(result.lastId) }),
    };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Fault('internal', 'storage.no_stream', 'expected paging by key, found a streamed query');
  }

  async begin(session: number): Promise<void> {
    await this.#link.request({ op: 'begin', session });
    this.#session = session;
  }

  async end(op: 'commit' | 'rollback'): Promise<void> {
    if (this.#session === null) return;
    const session = this.#session;
    await this.#link.request({ op, session });
  }
}

// What both dialects keep exactly: no booleans or dates, which they would keep differently.
function sqlValue(value: unknown): SqlValue {
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return value;
  // A copy of exactly these bytes: cloning a view would carry its whole buffer to the worker.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  const found = typeof value === 'bigint' ? 'an integer beyond 2^53' : typeof value;
  const message = `expected text, number, bytes or null as a parameter, found ${found}`;
  throw new Fault('internal', 'storage.parameter', message);
}
