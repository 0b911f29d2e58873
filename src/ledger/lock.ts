import { DatabaseSync } from 'node:sqlite';

import { Fault } from '../core/fault.ts';

const SQLITE_BUSY = 5;

/**
 * Holds `path` for this process alone, until disposed or until the process dies in whatever way: the lock is one of the
 * operating system, which leaves nothing behind.
 * @throws Fault `ledger.in_use` when another process holds it.
 */
export function lockFile(path: string): Disposable {
  const database = new DatabaseSync(path);
  try {
    // No transaction ever commits here; a journal on disk would only be left behind by a killed process.
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw lockFault(path, cause);
  }
  return { [Symbol.dispose]: () => database.close() };
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
