import assert from 'node:assert/strict';
import os from 'node:os';
import test from 'node:test';
import { MINUTE } from '../core/duration.ts';
import { silentLog, type Log } from '../core/log.ts';
import { systemWorld, type Clock } from '../core/world.ts';
import { DiskSpace } from './disk-space.ts';

const GIB = 1024 ** 3;

/** A disk and a clock that a test moves. */
function planted(bytes: number): {
  free: number | null;
  now: number;
  readonly events: string[];
  open(): Promise<DiskSpace>;
} {
  const events: string[] = [];
  const keep = (event: string): void => void events.push(event);
  const log: Log = { ...silentLog, info: keep, warn: keep };
  const disk = {
    free: bytes,
    now: 0,
    events,
    open: async () => {
      const clock: Clock = { ...systemWorld().clock, elapsed: () => disk.now };
      const free = async (): Promise<number> => disk.free ?? Promise.reject(new Error('planted'));
      return DiskSpace.watch({ directory: '/', clock, log, free });
    },
  };
  return disk;
}

test('warns below 1 GiB, once in the log, and takes it back', async () => {
  const disk = planted(GIB - 1);
  await using space = await disk.open();
  assert.match(space.warning() ?? '', /^1023 MiB are free where the log is written; when it is full/);
  await space.look();
  disk.free = GIB;
  await space.look();
  assert.equal(space.warning(), null);
  assert.deepEqual(disk.events, ['ledger.space_low', 'ledger.space_enough']);
});

test('warns when what was written lately would fill the disk within an hour', async () => {
  const disk = planted(100 * GIB);
  await using space = await disk.open();
  disk.now = MINUTE;
  disk.free = 99 * GIB;
  await space.look();
  assert.equal(space.warning(), null, '99 minutes are left');
  disk.now = 2 * MINUTE;
  disk.free = 95 * GIB;
  await space.look();
  assert.match(space.warning() ?? '', /at the present rate lasts 38 minutes$/);
});

test('a burst of less than a minute, growing space and a disk that cannot be asked warn of nothing', async () => {
  const disk = planted(100 * GIB);
  await using space = await disk.open();
  disk.now = MINUTE - 1;
  disk.free = 10 * GIB;
  await space.look();
  assert.equal(space.warning(), null);
  disk.now = 2 * MINUTE;
  disk.free = 200 * GIB;
  await space.look();
  disk.free = null;
  await space.look();
  assert.equal(space.warning(), null);
});

test('asks the real file system', async () => {
  const asked: string[] = [];
  const log: Log = { ...silentLog, warn: (event) => void asked.push(event) };
  await using space = await DiskSpace.watch({ directory: os.tmpdir(), clock: systemWorld().clock, log });
  assert.equal(space.warning() === null, asked.length === 0);
  await using sizeless = await DiskSpace.watch({ directory: '/proc', clock: systemWorld().clock, log });
  assert.equal(sizeless.warning(), null);
});
