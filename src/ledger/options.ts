import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import type { Database } from '../storage/database.ts';
import type { Disk } from './disk.ts';

/** What a log needs of its surroundings. */
export interface LedgerOptions {
  /** Holds the lock and a folder for each log. */
  readonly dir: string;
  readonly keysDir: string;
  /** A folder outside the data directory for the last signed checkpoint, or null. */
  readonly anchorDir: string | null;
  /** True for an anchor that nobody asked for: where it cannot be used the log opens without one. */
  readonly anchorOptional?: boolean;
  /** What tells this machine from others, or null where nothing does. */
  readonly machine?: string | null;
  /** Goes on with an anchor that was copied or moved here with DATA; its owner says that no other copy goes on. */
  readonly adoptMachine?: boolean;
  readonly site: string;
  readonly database: Database;
  readonly world: World;
  readonly log: Log;
  /** The machine's disk unless a test plants another. */
  readonly io?: Disk;
  /** Size of a write-ahead segment; 16 MiB unless given, at least 128 KiB. */
  readonly segmentBytes?: number;
}
