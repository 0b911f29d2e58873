import { constants, realpathSync } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../core/config.ts';
import { makePrivateFolder } from '../core/durable.ts';
import { Fault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import { lockFile } from '../ledger/lock.ts';

/**
 * Makes the data directory if need be and holds it for this process alone, until disposed. Whatever a start writes, it
 * writes under this lock.
 * @throws Fault `server.data_unusable`, `ledger.in_use`.
 */
export async function holdDataDirectory(dataDir: string): Promise<Disposable> {
  try {
    await makePrivateFolder(dataDir);
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const message = `cannot use the data directory ${dataDir}; give another with --data, or rights to this one`;
    throw new Fault('unavailable', 'server.data_unusable', message, { cause });
  }
  return lockFile(path.join(dataDir, 'lock.db'));
}

/**
 * Where the anchor lies, or null for none: inside the data directory it would be copied and put back together with what
 * it is to bear witness of.
 * @throws Fault `core.config` when `ledger.anchor` names a place there.
 */
export function anchorOutside(
  { ledger }: Pick<Config, 'ledger'>,
  { dataDir, anchorDir, log }: { dataDir: string; anchorDir: string | null; log: Log },
): string | null {
  if (anchorDir === null || !isWithin(realPlace(dataDir), realPlace(anchorDir))) return anchorDir;
  if (ledger.anchor !== null) {
    const message = `ledger.anchor: expected a directory outside the data directory ${dataDir}, found ${anchorDir}`;
    throw new Fault('invalid', 'core.config', message);
  }
  log.warn('ledger.no_anchor', { directory: anchorDir, why: 'it lies in the data directory' });
  return null;
}

function isWithin(outer: string, inner: string): boolean {
  const way = path.relative(outer, inner);
  return way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

// Without the symbolic links of that part of it which exists.
function realPlace(place: string): string {
  try {
    return realpathSync(place);
  } catch {
    const parent = path.dirname(place);
    return parent === place ? place : path.join(realPlace(parent), path.basename(place));
  }
}
