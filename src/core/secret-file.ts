import { readFileSync, statSync } from 'node:fs';

import { Fault } from './fault.ts';

const MAX_BYTES = 256 * 1024;

/**
 * The text of a small file without its final line break. `setting` names who asked.
 * @throws Fault `core.unreadable_file` when it is missing, empty, too large or not text.
 */
export function readTextFile(file: string, setting: string): string {
  const text = readBounded(file, setting).replace(/\r?\n$/, '');
  if (text === '' || text.includes('\0')) throw unreadable(file, setting, 'expected text in it');
  return text;
}

function readBounded(file: string, setting: string): string {
  try {
    // A device or a pipe would block or never end.
    const facts = statSync(file);
    if (facts.isFile() && facts.size <= MAX_BYTES) return readFileSync(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw unreadable(file, setting, `cannot be read (${why})`, cause);
  }
  throw unreadable(file, setting, `expected a file of at most ${MAX_BYTES} bytes`);
}

function unreadable(file: string, setting: string, why: string, cause?: unknown): Fault {
  const details = { setting, file };
  return new Fault('invalid', 'core.unreadable_file', `${setting}: ${file}: ${why}`, { details, cause });
}
