import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { summarize } from './statistics.ts';
import type { Summary } from './statistics.ts';

const LEAF_BYTES = 1024;
const PREALLOCATED_BYTES = 1024 * 1024;
const ROUNDS = 200;

/** Milliseconds that the disk under `folder` needs to make a kilobyte durable in a preallocated file. */
export function measureDiskSync(folder = os.tmpdir()): Summary {
  const own = mkdtempSync(path.join(folder, 'sekisho-disk-'));
  const file = openSync(path.join(own, 'wal'), 'w');
  try {
    writeSync(file, Buffer.alloc(PREALLOCATED_BYTES));
    fdatasyncSync(file);
    const times: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const begun = performance.now();
      writeSync(file, Buffer.alloc(LEAF_BYTES, i), 0, LEAF_BYTES, i * LEAF_BYTES);
      fdatasyncSync(file);
      times.push(performance.now() - begun);
    }
    return summarize(times);
  } finally {
    closeSync(file);
    rmSync(own, { recursive: true });
  }
}
