import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { Fault } from '../../core/fault.ts';

export const MANIFEST_FILE = 'manifest.json';

const manifestSchema = z.strictObject({
  v: z.literal(1),
  /** ms since 1970. */
  made: z.int(),
  origin: z.string(),
  vkey: z.string(),
  /** The signed note that the backup reaches to. */
  checkpoint: z.string(),
  withKeys: z.boolean(),
  files: z.array(z.strictObject({ path: z.string(), bytes: z.int(), sha256: z.string() })),
});

/** What a backup holds, each file with its SHA-256. */
export type Manifest = z.output<typeof manifestSchema>;

/** Every file below the folder but the manifest, sorted, with digests of what lies on the disk. */
export async function filesOf(folder: string): Promise<Manifest['files']> {
  const files: Manifest['files'] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file);
    if (entry.isDirectory() || name === MANIFEST_FILE) continue;
    if (!entry.isFile()) throw damaged(`${name} is no plain file`);
    files.push({ path: name, bytes: (await lstat(file)).size, sha256: await digestOf(file) });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Reads a backup's manifest and holds every file to it.
 * @throws Fault `server.backup_damaged` naming the first file that is missing, changed or not listed.
 */
export async function verifiedManifest(backup: string): Promise<Manifest> {
  const manifest = await readManifest(backup);
  const found = new Map((await filesOf(backup)).map((file) => [file.path, file]));
  for (const { path: name, bytes, sha256 } of manifest.files) {
    const file = found.get(name);
    if (file === undefined) throw damaged(`${name} is missing`);
    if (file.bytes !== bytes || file.sha256 !== sha256) throw damaged(`${name} is not what was backed up`);
    found.delete(name);
  }
  const [extra] = found.keys();
  if (extra !== undefined) throw damaged(`${extra} is not listed in ${MANIFEST_FILE}`);
  return manifest;
}

async function readManifest(backup: string): Promise<Manifest> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(path.join(backup, MANIFEST_FILE), 'utf8')));
  } catch (cause) {
    throw damaged(`${MANIFEST_FILE} is missing or not a manifest`, cause);
  }
}

async function digestOf(file: string): Promise<string> {
  const digest: Hash = createHash('sha256');
  // A file is read in pieces: that of the request keys grows with every request.
  for await (const piece of createReadStream(file)) digest.update(piece);
  return digest.digest('hex');
}

function damaged(what: string, cause?: unknown): Fault {
  const message = `not a whole backup: ${what}; use another`;
  return new Fault('invalid', 'server.backup_damaged', message, cause === undefined ? {} : { cause });
}
