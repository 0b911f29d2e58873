import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';

const PRIVATE_FOLDER = 0o700;

/** Makes the names in a folder durable: without it a power loss may undo a rename, or a file's creation. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/** As `syncFolder`, for what must not wait. */
export function syncFolderNow(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Makes a folder and its missing parents, for their owner alone.
 * Parents first, each by itself: Node's recursive mkdir never ends where a parent exists and takes no entries.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makePrivateFolder(path.dirname(folder));
  await mkdir(folder, { mode: PRIVATE_FOLDER }).catch((cause: unknown) => {
    if (!existsSync(folder)) throw cause;
  });
}
