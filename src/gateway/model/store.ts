import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { syncFolder } from '../../core/durable.ts';
import { Fault } from '../../core/fault.ts';
import { billOfMaterials } from './materials.ts';

/** What is known of a stored model; digests are lower-case hex. */
export interface ModelFacts {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** SPDX expression; null when nobody said. */
  readonly licence: string | null;
  readonly origin: string;
  /** Where these bytes came from: a URL, `pip:<package>==<version>` or `import`. */
  readonly source: string;
  /** ms since 1970. */
  readonly stored: number;
  readonly toy: boolean;
}

export interface StoredModel extends ModelFacts {
  readonly path: string;
}

const FACTS_FILE = 'model.json';
const MATERIALS_FILE = 'bom.cdx.json';
const FOLDER = /^sha256-([0-9a-f]{64})$/;
const READ_ONLY = 0o444;
const MAX_FACTS_BYTES = 64 * 1024;

/** Models by digest: `sha256-<hex>/` holds the file, what is known of it, and its bill of materials. */
export class ModelStore {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  folder(sha256: string): string {
    return join(this.dir, `sha256-${sha256}`);
  }

  /** A path beside the models for what is not one yet; the same for the same digest, so that downloads resume. */
  async partial(sha256: string, suffix: string): Promise<string> {
    const folder = join(this.dir, 'partial');
    await mkdir(folder, { recursive: true });
    return join(folder, `${sha256}${suffix}`);
  }

  /** Every stored model, by name; what cannot be read is left out. */
  async list(): Promise<StoredModel[]> {
    const names = await readdir(this.dir).catch(() => []);
    const found = await Promise.all(
      names.map((name) => this.#read(FOLDER.exec(name)?.[1] ?? null).catch(() => null)),
    );
    return found.filter((model) => model !== null).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * The stored model of this digest whose bytes have it, or null when there is none.
   * @throws Fault `gateway.model_tampered` after removing a file whose bytes changed; `gateway.model_unreadable` when
   * the disk does not give the bytes, which are then left alone.
   */
  async verified(sha256: string): Promise<StoredModel | null> {
    const model = await this.#read(sha256).catch(unlessMissing);
    const found = model === null ? null : await digestOf(model.path).catch(unlessMissing);
    if (model === null || found === null) return null;
    if (found === sha256) return model;
    await rm(this.folder(sha256), { recursive: true, force: true });
    throw new Fault(
      'unavailable',
      'gateway.model_tampered',
      `${model.file} had other bytes than were stored: expected sha256 ${sha256}, found ${found}; it was removed`,
    );
  }

  /**
   * Takes a finished file in place, by renaming it, after checking its digest. A crash leaves all of it or nothing.
   * @throws Fault `gateway.model_digest` after removing a file of another digest.
   */
  async adopt(finished: string, facts: ModelFacts): Promise<StoredModel> {
    const found = await digestOf(finished);
    if (found !== facts.sha256) {
      await rm(finished, { force: true });
      throw new Fault(
        'unavailable',
        'gateway.model_digest',
        `expected sha256 ${facts.sha256}, found ${found}`,
      );
    }
    const folder = this.folder(facts.sha256);
    const building = `${folder}.new`;
    await rm(building, { recursive: true, force: true });
    await mkdir(building, { recursive: true });
    await using bytes = await open(finished);
    await bytes.sync();
    await chmod(finished, READ_ONLY);
    await rename(finished, join(building, facts.file));
    await writeSynced(join(building, FACTS_FILE), facts);
    await writeSynced(join(building, MATERIALS_FILE), billOfMaterials(facts));
    await syncFolder(building);
    await rm(folder, { recursive: true, force: true });
    await rename(building, folder);
    await syncFolder(this.dir);
    return { ...facts, path: join(folder, facts.file) };
  }

  async #read(sha256: string | null): Promise<StoredModel | null> {
    if (sha256 === null) return null;
    const folder = this.folder(sha256);
    const facts = factsOf(await readFile(join(folder, FACTS_FILE)));
    return facts === null || facts.sha256 !== sha256 ? null : { ...facts, path: join(folder, facts.file) };
  }
}

// A full table of files or a failing disk says nothing of the bytes.
function unlessMissing(cause: unknown): null {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
  throw new Fault('unavailable', 'gateway.model_unreadable', 'a stored model cannot be read', { cause });
}

/** The SHA-256 of a file, lower-case hex. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}

// The folder may have been written by another version or by hand.
function factsOf(bytes: Buffer): ModelFacts | null {
  if (bytes.length > MAX_FACTS_BYTES) return null;
  let facts: Partial<Record<keyof ModelFacts, unknown>>;
  try {
    facts = Object(JSON.parse(bytes.toString('utf8')));
  } catch {
    return null;
  }
  const { name, file, bytes: size, sha256, licence, origin, source, stored, toy } = facts;
  if (typeof name !== 'string' || typeof sha256 !== 'string' || typeof origin !== 'string') return null;
  if (typeof file !== 'string' || file !== basename(file) || typeof source !== 'string') return null;
  if (typeof size !== 'number' || typeof stored !== 'number' || typeof toy !== 'boolean') return null;
  if (licence !== null && typeof licence !== 'string') return null;
  return { name, file, bytes: size, sha256, licence, origin, source, stored, toy };
}

async function writeSynced(path: string, value: object): Promise<void> {
  await using file = await open(path, 'wx');
  await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
  await file.sync();
}
