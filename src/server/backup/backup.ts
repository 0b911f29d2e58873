import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder, syncFolder } from '../../core/durable.ts';
import { Fault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';
import { copyLog, type LogState } from '../../ledger/log-copy.ts';
import { formatVkey, parseSigner, type NoteSigner } from '../../ledger/note.ts';
import { filesOf, MANIFEST_FILE, type Manifest } from './manifest.ts';
import { copyDatabase, leavesSeen } from './store.ts';

export interface BackupOptions {
  readonly dataDir: string;
  /** A folder that does not exist yet. */
  readonly out: string;
  /** Also what signs checkpoints, opens commitments and administers. */
  readonly withKeys: boolean;
  readonly world: World;
}

const PRIVATE = 0o600;

/**
 * Backs a site up, running or stopped, without asking it: under `out` stands a whole backup or nothing.
 * @throws Fault `server.backup_exists`, `server.never_started`, `ledger.behind`, `storage.unavailable`.
 */
export async function makeBackup(options: BackupOptions): Promise<Manifest> {
  const { dataDir, out, world } = options;
  if (existsSync(out))
    throw new Fault('conflict', 'server.backup_exists', `${out} exists already; name another with --out`);
  const signer = await logSigner(dataDir);
  const parent = path.dirname(path.resolve(out));
  await makePrivateFolder(parent);
  const partial = `${path.resolve(out)}.partial-${world.random.bytes(4).toString('hex')}`;
  await mkdir(partial, { mode: 0o700 });
  try {
    const state = await copyData(options, partial, signer);
    const manifest = await writeManifest(options, partial, { signer, state });
    await syncTree(partial);
    await rename(partial, out);
    await syncFolder(parent);
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

// What is read later may speak of what was read before, and never the other way round: an apply commits its bundle in
// the database first, the database trails the log, and a request's key is older than its leaf.
async function copyData(options: BackupOptions, partial: string, signer: NoteSigner): Promise<LogState> {
  const { dataDir, withKeys, world } = options;
  await cp(path.join(dataDir, 'governance'), path.join(partial, 'governance'), { recursive: true });
  const database = path.join(partial, 'sekisho.db');
  await writeFile(database, '', { mode: PRIVATE });
  copyDatabase(path.join(dataDir, 'sekisho.db'), database);
  const logId = logIdOf(signer);
  const source = path.join(dataDir, 'ledger', logId);
  const target = path.join(partial, 'ledger', logId);
  const state = await copyLog({
    source: { read: async (name) => readOrNull(path.join(source, name)) },
    key: signer.vkey,
    clock: world.clock,
    atLeast: leavesSeen(database, logId),
    write: async (name, bytes) => {
      await makePrivateFolder(path.dirname(path.join(target, name)));
      await writeFile(path.join(target, name), bytes, { mode: PRIVATE });
    },
  });
  for (const name of ['roads', 'day-keys']) await copyFile(path.join(source, name), path.join(target, name));
  await copyOtherLogs(dataDir, partial, logId);
  if (withKeys) {
    await cp(path.join(dataDir, 'keys'), path.join(partial, 'keys'), { recursive: true });
    const admin = path.join(dataDir, 'admin-key');
    if (existsSync(admin)) await copyFile(admin, path.join(partial, 'admin-key'));
  }
  return state;
}

// A log that ended never changes.
async function copyOtherLogs(dataDir: string, partial: string, logId: string): Promise<void> {
  for (const entry of await readdir(path.join(dataDir, 'ledger'), { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === logId) continue;
    const place = path.join('ledger', entry.name);
    await cp(path.join(dataDir, place), path.join(partial, place), { recursive: true });
  }
}

async function writeManifest(
  { withKeys, world }: BackupOptions,
  partial: string,
  { signer, state }: { readonly signer: NoteSigner; readonly state: LogState },
): Promise<Manifest> {
  const manifest: Manifest = {
    v: 1,
    made: world.clock.now(),
    origin: signer.vkey.name,
    vkey: formatVkey(signer.vkey),
    checkpoint: state.note,
    withKeys,
    files: await filesOf(partial),
  };
  await writeFile(path.join(partial, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`, {
    mode: PRIVATE,
  });
  return manifest;
}

/** Makes every file below the folder, and every name, durable, and readable by its owner alone. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const place = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncTree(place);
      continue;
    }
    await using file = await open(place, 'r+');
    await file.chmod(PRIVATE);
    await file.sync();
  }
  await syncFolder(folder);
}

/** The key of the log at work in a data directory. @throws Fault `server.never_started`. */
export async function logSigner(dataDir: string): Promise<NoteSigner> {
  const text = await readOrNull(path.join(dataDir, 'keys', 'ledger-log.key'));
  if (text !== null) return parseSigner(text.toString('utf8'));
  const message = `no site was ever started on ${dataDir}: name another with --data`;
  throw new Fault('conflict', 'server.never_started', message);
}

/** The folder of a log below `ledger`: the last part of its origin. */
export function logIdOf({ vkey }: Pick<NoteSigner, 'vkey'>): string {
  return vkey.name.slice(vkey.name.lastIndexOf('/') + 1);
}

async function readOrNull(file: string): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
