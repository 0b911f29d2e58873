import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder, syncFolder } from '../../core/durable.ts';
import { Fault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';
import { checkLog } from '../../ledger/check.ts';
import { prepareRestored, type LogState } from '../../ledger/log-copy.ts';
import { openCheckpoint, readVkey } from '../../ledger/note.ts';
import { Defect } from '../../ledger/verify/findings.ts';
import { logIdOf, logSigner, syncTree } from './backup.ts';
import { MANIFEST_FILE, verifiedManifest, type Manifest } from './manifest.ts';

export interface RestoreOptions {
  readonly backup: string;
  /** Missing or empty. */
  readonly dataDir: string;
  /** A copy of DATA/keys, for a backup that was made without. */
  readonly keysDir: string | null;
  readonly world: World;
}

/** A backup that was put back. */
export interface Restored {
  readonly manifest: Manifest;
  readonly state: LogState;
}

/**
 * Puts a backup back, whole or not at all: every file as in the manifest, the log derived anew.
 * @throws Fault `server.data_not_empty`, `server.backup_damaged`, `server.keys_needed`, `server.backup_invalid`.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { backup, world } = options;
  const dataDir = path.resolve(options.dataDir);
  await requireEmpty(dataDir);
  const manifest = await verifiedManifest(backup);
  const parent = path.dirname(dataDir);
  await makePrivateFolder(parent);
  const partial = `${dataDir}.partial-${world.random.bytes(4).toString('hex')}`;
  await mkdir(partial, { mode: 0o700 });
  try {
    const state = await fill(options, partial, manifest);
    await syncTree(partial);
    if (existsSync(dataDir)) await rmdir(dataDir);
    await rename(partial, dataDir);
    await syncFolder(parent);
    return { manifest, state };
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function fill(options: RestoreOptions, partial: string, manifest: Manifest): Promise<LogState> {
  const { backup, keysDir } = options;
  await cp(backup, partial, { recursive: true });
  await rm(path.join(partial, MANIFEST_FILE));
  if (keysDir !== null) await cp(keysDir, path.join(partial, 'keys'), { recursive: true });
  await requireKeys(partial, manifest);
  const { logId, state } = await checkedLog(partial, manifest);
  await prepareRestored(path.join(partial, 'ledger', logId), logId, state);
  return state;
}

/** Derives the log of a backup, or of its copy, anew. @throws Fault `server.backup_invalid`. */
export async function checkedLog(
  folder: string,
  manifest: Manifest,
): Promise<{ readonly logId: string; readonly state: LogState }> {
  const vkey = readVkey(manifest.vkey);
  const logId = logIdOf({ vkey });
  const place = path.join(folder, 'ledger', logId);
  const check = await checkLog(
    { read: async (name) => readFile(path.join(place, name)).catch(() => null) },
    manifest.vkey,
  );
  const head = await openCheckpoint(manifest.checkpoint, vkey);
  const same = !(head instanceof Defect) && check.lines[1]?.startsWith(`size=${head.size} `) === true;
  if (check.exit !== 0 || head instanceof Defect || !same) {
    const message = `the log of the backup does not hold: ${check.lines.slice(1).join('; ')}; use another backup`;
    throw new Fault('invalid', 'server.backup_invalid', message);
  }
  return { logId, state: { ...head, note: manifest.checkpoint } };
}

// With another key than the log's the site would begin a new log beside the one that was put back.
async function requireKeys(folder: string, manifest: Manifest): Promise<void> {
  const message = 'the backup has no keys, or those of another log; give the copy of DATA/keys with --keys';
  const signer = await logSigner(folder).catch((cause: unknown) => {
    throw new Fault('invalid', 'server.keys_needed', message, { cause });
  });
  const master = existsSync(path.join(folder, 'keys', 'ledger-master.key'));
  if (signer.vkey.name !== manifest.origin || !master)
    throw new Fault('invalid', 'server.keys_needed', message);
}

async function requireEmpty(dataDir: string): Promise<void> {
  if (!existsSync(dataDir) || (await readdir(dataDir)).length === 0) return;
  const message = `${dataDir} is not empty: move it away, or name another place with --data`;
  throw new Fault('conflict', 'server.data_not_empty', message);
}
