import { DatabaseSync } from 'node:sqlite';
import { Fault } from '../../core/fault.ts';

const BUSY_MS = 10_000;

/**
 * Copies the database as of one moment to a new file, while others write; what was deleted is not in the copy.
 * @throws Fault `storage.unavailable`.
 */
export function copyDatabase(file: string, target: string): void {
  try {
    using source = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MS });
    source.prepare('vacuum into ?').run(target);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('unavailable', 'storage.unavailable', `cannot copy ${file}: ${why}`, { cause });
  }
}

/**
 * How many leaves of the log the copied database speaks of.
 * @throws Fault `storage.unavailable` for a file that is damaged or no site's database.
 */
export function leavesSeen(file: string, logId: string): number {
  try {
    using database = new DatabaseSync(file, { readOnly: true });
    const check = database.prepare('pragma quick_check').get();
    if (check?.['quick_check'] !== 'ok') throw new Error('it is damaged');
    const indexed = database
      .prepare('select max(leaves) as n from ledger_watermarks where log = ?')
      .get(logId);
    const sent = database.prepare('select max(log_size) as n from outbox where log_index is null').get();
    return Math.max(Number(indexed?.['n'] ?? 0), Number(sent?.['n'] ?? 0));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('unavailable', 'storage.unavailable', `cannot read ${file}: ${why}`, { cause });
  }
}
