import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemWorld } from '../../core/world.ts';
import type { World } from '../../core/world.ts';
import { withFileLock } from './lock.ts';

test('one works at a time, and nothing is left behind', async () => {
  await using folder = await openFolder();
  let inside = 0;
  const work = async (): Promise<number> => {
    assert.equal(++inside, 1);
    await new Promise((resolve) => setImmediate(resolve));
    return --inside;
  };
  const { signal } = new AbortController();
  const world = hurried();
  const all = Array.from({ length: 8 }, () => withFileLock(folder.lock, { world, signal }, work));
  assert.deepEqual(
    await Promise.all(all),
    Array.from({ length: 8 }, () => 0),
  );
  assert.deepEqual(await readdir(folder.dir), []);
});

test('the lock of a process that died is taken over', async () => {
  await using folder = await openFolder();
  await writeFile(folder.lock, 'of a dead one');
  const { signal } = new AbortController();
  const world = hurried();
  assert.equal(await withFileLock(folder.lock, { world, signal }, async () => 'worked'), 'worked');
  assert.ok(world.clock.elapsed() > 15_000);
});

test('a lock that is kept alive is not taken over, however long it is held', async () => {
  await using folder = await openFolder();
  const { signal } = new AbortController();
  const world = hurried();
  const order: string[] = [];
  const first = withFileLock(folder.lock, { world, signal }, async () => {
    while (world.clock.elapsed() < 120_000) await new Promise((resolve) => setImmediate(resolve));
    order.push('first');
  });
  const second = withFileLock(folder.lock, { world, signal }, async () => void order.push('second'));
  await Promise.all([first, second]);
  assert.deepEqual(order, ['first', 'second']);
});

test('waiting ends with the signal, and failing work gives the lock back', async () => {
  await using folder = await openFolder();
  const world = hurried();
  const { signal } = new AbortController();
  const failing = withFileLock(folder.lock, { world, signal }, () => Promise.reject(new Error('broke')));
  await assert.rejects(failing, /broke/);
  assert.deepEqual(await readdir(folder.dir), []);
  await writeFile(folder.lock, 'held');
  const stopped = AbortSignal.abort(new Error('given up'));
  await assert.rejects(
    withFileLock(folder.lock, { world, signal: stopped }, async () => {}),
    /given up|abort/i,
  );
});

async function openFolder() {
  const dir = await mkdtemp(join(tmpdir(), 'sekisho-lock-'));
  return { dir, lock: join(dir, 'lock'), [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

/** A world in which each wait takes one turn of the loop and counts as long as it was asked to be. */
function hurried(): World {
  const world = systemWorld();
  let elapsed = 0;
  return {
    ...world,
    clock: {
      now: () => elapsed,
      elapsed: () => elapsed,
      async sleep(ms, signal) {
        signal?.throwIfAborted();
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        elapsed += ms;
      },
    },
  };
}
