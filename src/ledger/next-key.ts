import { join } from 'node:path';

import { LOG_KEY_FILE, makeLogKey, readLogKey, writeKey, type KeyFolder, type LogKey } from './key.ts';

const NEXT_KEY_FILE = 'ledger-log.next.key';
const REPLACED_KEY = /^ledger-log\.[0-9a-f]{8}\.replaced\.key$/;

/** The key that a rotation has made and no log uses yet, or null. @throws Fault `ledger.bad_key`. */
export async function nextLogKey(folder: KeyFolder): Promise<LogKey | null> {
  return readLogKey(folder, NEXT_KEY_FILE);
}

/** The id of the log that a rotation, cut short by a crash, was making, or null. @throws Fault `ledger.bad_key`. */
export async function rotationUnderWay(folder: KeyFolder): Promise<string | null> {
  const next = await nextLogKey(folder);
  if (next !== null) return next.logId;
  const names = await folder.disk.list(folder.keysDir);
  if (!names.some((name) => REPLACED_KEY.test(name))) return null;
  return (await readLogKey(folder, LOG_KEY_FILE))?.logId ?? null;
}

/** The key of the log that comes next; made once, durably. @throws Fault `ledger.bad_key`, `ledger.bad_site`. */
export async function makeNextLogKey(folder: KeyFolder, site: string): Promise<LogKey> {
  return (await nextLogKey(folder)) ?? makeLogKey(folder, NEXT_KEY_FILE, site);
}

/** Forgets a next key that no leaf has named. */
export async function dropNextLogKey(folder: KeyFolder): Promise<void> {
  const path = join(folder.keysDir, NEXT_KEY_FILE);
  if ((await folder.disk.readFile(path)) !== null) await destroy(folder, NEXT_KEY_FILE);
}

/** A copy of the log's key beside it, for whoever wants it kept after a rotation. Gives its path. */
export async function keepLogKey(folder: KeyFolder, logId: string): Promise<string | null> {
  const secret = await folder.disk.readFile(join(folder.keysDir, LOG_KEY_FILE));
  if (secret === null) return null;
  const path = join(folder.keysDir, `ledger-log.${logId}.kept.key`);
  await writeKey(folder, path, secret.toString('utf8'));
  return path;
}

/**
 * Puts the next key in the place of the one of the ended log `logId`, whose secret is overwritten. Whatever a crash
 * leaves of it `settleLogKeys` finishes.
 */
export async function activateNextLogKey(folder: KeyFolder, logId: string): Promise<void> {
  const { disk, keysDir } = folder;
  await disk.rename(join(keysDir, LOG_KEY_FILE), join(keysDir, `ledger-log.${logId}.replaced.key`));
  await disk.sync(keysDir);
  await settleLogKeys(folder);
}

/** Finishes what an activation had begun when its process ended. Call it before any key is read. */
export async function settleLogKeys(folder: KeyFolder): Promise<void> {
  const { disk, keysDir } = folder;
  const names = await disk.list(keysDir);
  const replaced = names.filter((name) => REPLACED_KEY.test(name));
  // Only a key that was put aside by an activation leaves this gap: any other missing key is a new beginning.
  if (replaced.length > 0 && !names.includes(LOG_KEY_FILE) && names.includes(NEXT_KEY_FILE)) {
    await disk.rename(join(keysDir, NEXT_KEY_FILE), join(keysDir, LOG_KEY_FILE));
    await disk.sync(keysDir);
  }
  for (const name of replaced) await destroy(folder, name);
}

// The bytes go before the name, or a reader of the raw disk would find them.
async function destroy({ disk, keysDir, world }: KeyFolder, name: string): Promise<void> {
  const path = join(keysDir, name);
  const file = await disk.open(path, 'update');
  try {
    await file.write(world.random.bytes(await file.size()), 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.remove(path);
  await disk.sync(keysDir);
}
