import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

import { syncFolderNow } from '../core/durable.ts';
import { Fault } from '../core/fault.ts';
import { Secret } from '../core/secret.ts';
import { isIssuedKey } from './key.ts';

const OTHERS = 0o077;

/**
 * The key in `file`, which is created with `draw` when it is not there: whole or not at all, never over another file.
 * @throws Fault `identity.admin_key_file` when it holds no key, or others than its owner may read it.
 */
export function adminKeyFile(file: string, draw: () => Secret): Secret {
  const kept = read(file);
  if (kept !== null) return kept;
  const key = draw();
  write(file, key);
  return key;
}

function read(file: string): Secret | null {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw unusable(file, 'cannot be opened', cause);
  }
  try {
    const facts = fstatSync(handle);
    if (!facts.isFile() || (facts.mode & OTHERS) !== 0)
      throw unusable(file, 'expected a file that only its owner can read (chmod 600)');
    const text = readFileSync(handle, 'utf8').trimEnd();
    if (!isIssuedKey(text)) throw unusable(file, 'expected the key in it that the first start made');
    return new Secret(text);
  } finally {
    closeSync(handle);
  }
}

// A link to a synced file appears whole, and fails where the name exists already.
function write(file: string, key: Secret): void {
  const draft = `${file}.${process.pid}`;
  try {
    rmSync(draft, { force: true });
    const handle = openSync(draft, 'wx', 0o600);
    try {
      writeSync(handle, `${key.reveal()}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    linkSync(draft, file);
    syncFolderNow(path.dirname(file));
  } catch (cause) {
    throw unusable(file, 'cannot be written', cause);
  } finally {
    rmSync(draft, { force: true });
  }
}

function unusable(file: string, why: string, cause?: unknown): Fault {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  const details = { file };
  return new Fault('unavailable', 'identity.admin_key_file', `${file}: ${why}${code}`, { details, cause });
}
