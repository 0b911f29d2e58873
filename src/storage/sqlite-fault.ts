import { Fault, type FaultKind } from '../core/fault.ts';
import type { SqliteFailure } from './sqlite-protocol.ts';

/** https://sqlite.org/rescode.html: the low byte is the primary code. */
export const SQLITE_IOERR = 10;
/** Codes outside SQLite's range, for refusals that the worker makes itself. */
export const SESSION_OVER = -1;

const CONSTRAINT = 19;
const NOT_AUTHORIZED = 23;
// BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB: the statement may be good, the
// database cannot serve it.
const UNAVAILABLE = new Set([5, 6, 7, 8, SQLITE_IOERR, 11, 13, 14, 15, 26]);

/** A failure of SQLite as the room's Fault; SQLite's messages name tables and columns, never values. */
export function sqliteFault(failure: SqliteFailure): Fault {
  const [kind, code] = classify(failure.code);
  return new Fault(kind, code, failure.message, { details: { sqlite: failure.code } });
}

export function primaryCode(code: number): number {
  return code < 0 ? code : code & 0xff;
}

function classify(code: number | null): [FaultKind, string] {
  if (code === null) return ['internal', 'storage.statement'];
  const primary = primaryCode(code);
  if (primary === SESSION_OVER) return ['unavailable', 'storage.transaction_over'];
  if (primary === CONSTRAINT) return ['conflict', 'storage.constraint'];
  if (primary === NOT_AUTHORIZED) return ['internal', 'storage.forbidden'];
  if (UNAVAILABLE.has(primary)) return ['unavailable', 'storage.unavailable'];
  return ['internal', 'storage.statement'];
}
