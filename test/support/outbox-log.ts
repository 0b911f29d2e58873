import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';

import type { OutboxLeaf, OutboxLog } from '../../src/storage/outbox.ts';

/** A log that is a file of lines, synced before an append resolves. */
export function fileLog(dir: string): OutboxLog<OutboxLeaf> {
  return {
    size: () => loggedIds(dir).length,
    async append(leaf) {
      const index = loggedIds(dir).length;
      const handle = openSync(logFile(dir), 'a');
      writeSync(handle, `${JSON.stringify(leaf)}\n`);
      fsyncSync(handle);
      closeSync(handle);
      return index;
    },
    async find(id, from) {
      const index = loggedIds(dir).indexOf(id, from);
      return index === -1 ? null : index;
    },
  };
}

export function loggedIds(dir: string): string[] {
  if (!existsSync(logFile(dir))) return [];
  const lines = readFileSync(logFile(dir), 'utf8').trimEnd().split('\n');
  return lines.filter((line) => line !== '').map((line) => String(JSON.parse(line).id));
}

function logFile(dir: string): string {
  return path.join(dir, 'log');
}
