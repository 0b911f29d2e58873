import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { Fault } from '../core/fault.ts';

const SQLITE_BUSY = 5;

/**
 * Holds `path` for this process alone, until disposed or until the process dies in whatever way: the lock is one of the
 * operating system, which leaves nothing behind.
 * @throws Fault `ledger.in_use` when another process holds it.
 */
export function lockFile(path: string): Disposable {
  const database = openPrivately(path);
  try {
    // No transaction ever commits here; a journal on disk would only be left behind by a killed process.
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw lockFault(path, cause);
  }
  return { [Symbol.dispose]: () => database.close() };
}

// SQLite would make the file readable by others. One that exists is not so much as opened here: closing any descriptor
// of a locked file gives up this process's locks on it.
function openPrivately(path: string): DatabaseSync {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw lockFault(path, cause);
  }
  try {
    return new DatabaseSync(path);
  } catch (cause) {
    throw lockFault(path, cause);
  }
}

function lockFault(path: string, cause: unknown): Fault {
  if (cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY)
    return new Fault(
      'conflict',
      'ledger.in_use',
      `another process holds ${path}; stop it first, two writers would fork the log`,
      { cause },
    );
  return new Fault('unavailable', 'ledger.unavailable', `cannot lock ${path}`, { cause });
}
