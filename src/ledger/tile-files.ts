import { dirname, join } from 'node:path';

import { Fault } from '../core/fault.ts';
import { diskErrorName, type Disk } from './disk.ts';
import { tilePath, type TileName } from './tile-path.ts';

interface Pending {
  readonly name: TileName;
  readonly bytes: Buffer;
}

const HASH_MODE = 0o644;
// Entries show every tenant's traffic; only the log's own user reads them from the disk.
const ENTRY_MODE = 0o600;

/**
 * The tiles on disk, for one writer: `flush`, `publish` and `syncAll` run one after the other. What is given to `add` can be read at once, is written soon and is durable after `syncAll`; what
 * the disk refuses stays in memory and is tried again by the next `flush`.
 */
export class TileFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #pending = new Map<string, Pending>();
  readonly #folders = new Set<string>();
  #unsynced = new Set<string>();
  #pendingBytes = 0;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Bytes that wait in memory for the disk. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  add(name: TileName, bytes: Buffer): void {
    this.#pending.set(tilePath(name), { name, bytes });
    this.#pendingBytes += bytes.length;
  }

  /** Null when the tile was never written. */
  async read(name: TileName): Promise<Buffer | null> {
    const path = tilePath(name);
    return this.#pending.get(path)?.bytes ?? (await this.#disk.readFile(join(this.#directory, path)));
  }

  /** Writes what waits. @throws Fault kind `unavailable` when the disk refuses. */
  async flush(): Promise<void> {
    for (const [path, { name, bytes }] of this.#pending) {
      try {
        await this.publish(path, bytes);
        await this.#removePartials(name);
      } catch (cause) {
        const why = diskErrorName(cause);
        throw new Fault('unavailable', 'ledger.unavailable', `cannot write ${path}: ${why}`, { cause });
      }
      this.#unsynced.add(join(this.#directory, path));
      this.#pending.delete(path);
      this.#pendingBytes -= bytes.length;
    }
  }

  /** Writes a file that others may read at any moment, such as a partial tile or the checkpoint. */
  async publish(path: string, bytes: Buffer): Promise<void> {
    const whole = join(this.#directory, path);
    await this.#makeFolder(dirname(whole));
    await this.#disk.replace(whole, bytes, path.startsWith('tile/entries/') ? ENTRY_MODE : HASH_MODE);
  }

  /** Has the next `syncAll` make a published file durable too. */
  mustSync(path: string): void {
    this.#unsynced.add(join(this.#directory, path));
  }

  /** Makes every tile written so far durable. */
  async syncAll(): Promise<void> {
    await this.flush();
    const paths = this.#unsynced;
    this.#unsynced = new Set();
    try {
      for (const path of paths) await this.#disk.sync(path);
      for (const folder of parents(paths, this.#directory)) await this.#disk.sync(folder);
    } catch (error) {
      for (const path of paths) this.#unsynced.add(path);
      throw error;
    }
  }

  // C2SP tlog-tiles: partial tiles may go once the full one exists.
  async #removePartials(name: TileName): Promise<void> {
    const folder = join(this.#directory, `${tilePath(name)}.p`);
    await this.#disk.removeDirectory(folder);
    this.#folders.delete(folder);
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return;
    await this.#disk.makeDirectory(folder);
    this.#folders.add(folder);
  }
}

/** The folders of these paths up to `top`, deepest first. */
function parents(paths: Iterable<string>, top: string): string[] {
  const folders = new Set<string>();
  for (const path of paths)
    for (let folder = dirname(path); folder.length >= top.length; folder = dirname(folder))
      folders.add(folder);
  return [...folders].sort((a, b) => b.length - a.length);
}
