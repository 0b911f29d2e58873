import { open, readFile, rm, utimes } from 'node:fs/promises';
import { SECOND } from '../../core/duration.ts';
import type { World } from '../../core/world.ts';

const BEAT = 2 * SECOND;
/** A lock whose file has not changed for so long, by our own clock, has lost its holder. */
const DEAD_AFTER = 15 * SECOND;
const LOOK_EVERY = SECOND / 4;

/**
 * Runs `work` while no other process that shares the directory holds the lock. The holder keeps touching the file;
 * process ids would mean nothing between containers that share a cache.
 */
export async function withFileLock<T>(
  path: string,
  { world, signal }: { world: World; signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const token = world.ids.next('lock');
  await acquire(path, token, world, signal);
  const done = new AbortController();
  void beat(path, world, done.signal);
  try {
    return await work();
  } finally {
    done.abort();
    if ((await read(path)) === token) await rm(path, { force: true });
  }
}

async function acquire(path: string, token: string, world: World, signal: AbortSignal): Promise<void> {
  let seen = '';
  let seenAt = world.clock.elapsed();
  while (!(await create(path, token))) {
    const state = await stateOf(path);
    const now = world.clock.elapsed();
    if (state !== seen) {
      seen = state;
      seenAt = now;
    } else if (now - seenAt > DEAD_AFTER) {
      // Two may do this at once and both go on to work; what they make is checked by digest and renamed in place.
      await rm(path, { force: true });
      continue;
    }
    await world.clock.sleep(LOOK_EVERY, signal);
  }
}

async function create(path: string, token: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(token);
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function beat(path: string, world: World, signal: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await world.clock.sleep(BEAT, signal);
      const seconds = world.clock.now() / SECOND;
      await utimes(path, seconds, seconds);
    }
  } catch {
    // Released, or the file is gone: either way there is nothing more to keep alive.
  }
}

async function stateOf(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { ino, mtimeMs } = await file.stat();
      return `${ino} ${mtimeMs}`;
    } finally {
      await file.close();
    }
  } catch {
    return '';
  }
}

function read(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}
