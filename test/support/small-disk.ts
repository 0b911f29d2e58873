import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { drive } from './load.ts';
import type { Exchange } from './load.ts';
import type { Site, SiteOptions } from './site.ts';

const MEGABYTE = 1 << 20;
const ADMIN_KEY = `sk-${'0'.repeat(8)}`;

/** A disk on which the data of one site after the other lies, and nothing else. */
export interface SmallDisk extends AsyncDisposable {
  readonly options: SiteOptions & { readonly root: string };
  /** DATA as this process reaches it. */
  readonly data: string;
}

/** Mounts a tmpfs at `root`/data, seen by the sites that start with its options; `how` are tmpfs's own options. */
export async function mountSmallDisk(root: string, how: string): Promise<SmallDisk> {
  const data = path.join(root, 'data');
  mkdirSync(data, { recursive: true });
  const asRoot = process.getuid?.() === 0;
  const mount = 'mount -t tmpfs -o "$1" tmpfs "$0" && echo mounted && exec sleep 3600';
  const holder = spawn('unshare', [asRoot ? '-m' : '-rm', 'sh', '-c', mount, data, how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit').then(() => assert.fail('no mount'))]);
  const spaces = asRoot ? ['-m'] : ['-m', '-U', '--preserve-credentials'];
  return {
    options: {
      root,
      wrap: ['nsenter', '-t', String(holder.pid), ...spaces],
      env: { SEKISHO_ADMIN_KEY: ADMIN_KEY },
    },
    data: `/proc/${holder.pid}/root${data}`,
    async [Symbol.asyncDispose]() {
      const ended = once(holder, 'exit');
      holder.kill();
      await ended;
    },
  };
}

/** Fills the disk, and what was allocated before it was full, until not one denial more fits; returns them all. */
export async function denyUntilFull(site: Site, filler: string): Promise<readonly Exchange[]> {
  const denied: Exchange[] = [];
  const file = openSync(filler, 'w');
  try {
    // A batch of many is refused where one leaf would still fit.
    for (const concurrency of [16, 1]) await denyUntilRefused(site, file, concurrency, denied);
  } finally {
    closeSync(file);
  }
  return denied;
}

async function denyUntilRefused(
  site: Site,
  file: number,
  concurrency: number,
  denied: Exchange[],
): Promise<void> {
  for (let round = 0; round < 20; round++) {
    fill(file);
    const some: Exchange[] = [];
    const count = 16 * concurrency;
    await drive(site, { concurrency, count, headers: { 'sekisho-label': 'c3' } }, some);
    denied.push(...some.filter(({ status }) => status === 403));
    if (some.some(({ status }) => status === 503)) return;
  }
  throw new Error(`the disk never became full: ${denied.length} requests were recorded`);
}

function fill(file: number): void {
  for (const size of [MEGABYTE, 4096]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size));
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'ENOSPC');
    }
  }
}
