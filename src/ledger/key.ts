import { hash } from 'node:crypto';
import { dirname, join } from 'node:path';

import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import type { Disk } from './disk.ts';
import { formatSigner, formatVkey, parseSigner, signerFromSeed, type NoteSigner } from './note.ts';

/** The log's identity. */
export interface LogKey {
  readonly signer: NoteSigner;
  /** First 8 hex digits of SHA-256 of the raw public key. */
  readonly logId: string;
  readonly vkey: string;
}

export interface KeyFolder {
  readonly keysDir: string;
  readonly disk: Disk;
  readonly world: World;
}

/** The file of the key of the log at work. */
export const LOG_KEY_FILE = 'ledger-log.key';
const MASTER_KEY_FILE = 'ledger-master.key';
const KEY_BYTES = 32;
const MAX_SITE_LENGTH = 200;

/**
 * The log's signing key, made on the first start. A log keeps the name it was born with: a renamed site gets a new
 * origin with its next key.
 * @throws Fault `ledger.bad_key`, `ledger.open_key`, `ledger.bad_site`.
 */
export async function loadLogKey(folder: KeyFolder, site: string): Promise<LogKey> {
  return (await readLogKey(folder, LOG_KEY_FILE)) ?? makeLogKey(folder, LOG_KEY_FILE, site);
}

/** The signing key in a file of the folder, or null where there is none. @throws Fault `ledger.bad_key`. */
export async function readLogKey(folder: KeyFolder, name: string): Promise<LogKey | null> {
  const stored = await readSecret(folder, name);
  return stored === null ? null : logKey(parseSigner(stored));
}

/** Draws a signing key for a log of the site and writes it durably. @throws Fault `ledger.bad_site`. */
export async function makeLogKey(folder: KeyFolder, name: string, site: string): Promise<LogKey> {
  if (site === '' || site.length > MAX_SITE_LENGTH || /[\s+]/u.test(site))
    throw new Fault('invalid', 'ledger.bad_site', `a site name has no space and no "+", found "${site}"`);
  const seed = folder.world.random.bytes(KEY_BYTES);
  const { publicKey } = signerFromSeed(site, seed).vkey;
  const signer = signerFromSeed(`${site}/${logIdOf(publicKey)}`, seed);
  await writeKey(folder, join(folder.keysDir, name), `${formatSigner(signer, seed)}\n`);
  return logKey(signer);
}

/**
 * The key that wraps the day keys, made on the first start.
 * @throws Fault `ledger.bad_key`.
 */
export async function loadMasterKey(folder: KeyFolder): Promise<Buffer> {
  const path = join(folder.keysDir, MASTER_KEY_FILE);
  const stored = await readSecret(folder, MASTER_KEY_FILE);
  if (stored === null) {
    const key = folder.world.random.bytes(KEY_BYTES);
    await writeKey(folder, path, `${key.toString('base64')}\n`);
    return key;
  }
  const key = Buffer.from(stored.trim(), 'base64');
  if (key.length === KEY_BYTES) return key;
  throw new Fault('invalid', 'ledger.bad_key', `${path}: expected 32 bytes in base64`);
}

// A secret that others could read may have been read: a person must look before it is used on.
async function readSecret({ disk, keysDir }: KeyFolder, name: string): Promise<string | null> {
  const path = join(keysDir, name);
  const stored = await disk.readFile(path);
  if (stored === null) return null;
  if (await disk.isPrivate(path)) return stored.toString('utf8');
  const message = `${path} may be read by others or is another user's: own it and chmod 600. If somebody may have read it, see docs/key-compromise.md`;
  throw new Fault('invalid', 'ledger.open_key', message);
}

function logKey(signer: NoteSigner): LogKey {
  return { signer, logId: logIdOf(signer.vkey.publicKey), vkey: formatVkey(signer.vkey) };
}

function logIdOf(publicKey: Uint8Array): string {
  return hash('sha256', publicKey).slice(0, 8);
}

/** A key that signed or wrapped anything must outlive a power loss, so it is durable before anybody sees it. */
export async function writeKey(folder: KeyFolder, path: string, text: string): Promise<void> {
  await folder.disk.makeDirectory(folder.keysDir);
  await folder.disk.replace(path, Buffer.from(text), 0o600);
  await folder.disk.sync(path);
  await folder.disk.sync(folder.keysDir);
  await folder.disk.sync(dirname(folder.keysDir));
}
