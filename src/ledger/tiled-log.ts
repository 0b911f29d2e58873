import type { Disk } from './disk.ts';
import { LruMap } from './lru-map.ts';
import { corruption, encodeBundle, readBundle } from './segment.ts';
import { TileFiles } from './tile-files.ts';
import { parseTilePath, partialTiles, tilePath, tileWidth, type TileName } from './tile-path.ts';
import {
  leafHash,
  rootFromPath,
  TILE_HEIGHT,
  TILE_WIDTH,
  TileNodes,
  TreeEdge,
  TreeReader,
  type TreeHash,
} from './tree.ts';

/** 16 KiB each. */
const CACHED_TILES = 512;
/** Up to 16 MiB each, some 150 KiB as a rule. */
const CACHED_BUNDLES = 32;
const CHECK = 'Run "sekisho ledger check" on its folder, then restore the file that it names';

/** The log as a tree of hashes and bundles of entries: right edge in memory, full tiles on the disk. */
export class TiledLog {
  readonly #files: TileFiles;
  readonly #directory: string;
  readonly #edge: TreeEdge;
  readonly #reader: TreeReader;
  readonly #tiles = new LruMap<string, TileNodes>(CACHED_TILES);
  readonly #bundles = new LruMap<number, readonly Buffer[]>(CACHED_BUNDLES);
  #bundle: Buffer[] = [];

  constructor(disk: Disk, directory: string) {
    this.#files = new TileFiles(disk, directory);
    this.#directory = directory;
    this.#edge = new TreeEdge((level, number, tile) => this.#addTile(level, number, tile));
    this.#reader = new TreeReader(async (level, number) => this.#hashTile(level, number));
  }

  get size(): number {
    return this.#edge.size;
  }

  get pendingBytes(): number {
    return this.#files.pendingBytes;
  }

  append(entry: Buffer): void {
    this.#edge.append(leafHash(entry));
    this.#bundle.push(entry);
    if (this.#bundle.length < TILE_WIDTH) return;
    const number = this.size / TILE_WIDTH - 1;
    const bytes = encodeBundle(this.#bundle);
    this.#files.add({ level: 'entries', number, width: TILE_WIDTH }, bytes);
    // Views of the bundle: an entry as it came may keep a far larger piece of memory from being freed.
    this.#bundles.set(number, readBundle(bytes) ?? this.#bundle);
    this.#bundle = [];
  }

  /**
   * Takes in the first `size` entries from full tiles and bundles, as a log whose older write-ahead segments are gone.
   * @throws Fault `ledger.corrupt` when one is missing or misshapen.
   */
  async load(size: number): Promise<void> {
    await this.#resume(size);
    if (size % TILE_WIDTH === 0) return;
    const entries = await this.#fullBundle(Math.floor(size / TILE_WIDTH));
    for (const entry of entries.slice(0, size % TILE_WIDTH)) this.append(entry);
  }

  /** As `load`, for a log that was published durably at `size` and never goes on. */
  async loadEnded(size: number): Promise<void> {
    await this.#resume(size);
    const [name] = partialTiles(size).filter(({ level }) => level === 'entries');
    if (name === undefined) return;
    const entries = readBundle((await this.#files.read(name)) ?? Buffer.alloc(0));
    if (entries?.length !== name.width)
      throw corruption(`${this.#directory}/${tilePath(name)}`, 'the bundle is missing or cut off', CHECK);
    for (const entry of entries) this.append(entry);
  }

  root(): TreeHash {
    return this.#edge.root();
  }

  rootAt(size: number): Promise<TreeHash> {
    return this.#reader.rootAt(size);
  }

  /** The exact bytes of an entry. @throws Fault `ledger.corrupt`. */
  async entry(index: number): Promise<Buffer> {
    const number = Math.floor(index / TILE_WIDTH);
    const isLast = number === Math.floor(this.size / TILE_WIDTH);
    const bundle = isLast ? this.#bundle : await this.#fullBundle(number);
    const entry = bundle[index % TILE_WIDTH];
    if (entry === undefined) throw new RangeError('the entry lies beyond the log');
    return entry;
  }

  /**
   * An entry and its inclusion proof under the root of a tree of `size`.
   * @throws Fault `ledger.corrupt` when tiles or bundle were damaged: a receipt that does not verify is never given out.
   */
  async prove(
    index: number,
    tree: { size: number; root: TreeHash },
  ): Promise<{ entry: Buffer; path: TreeHash[] }> {
    const [entry, path] = await Promise.all([this.entry(index), this.#reader.path(index, tree.size)]);
    if (rootFromPath(leafHash(entry), { index, size: tree.size }, path) === tree.root) return { entry, path };
    throw corruption(this.#directory, `entry ${index} does not lead to the signed root`, CHECK);
  }

  /** A tile or bundle of a tree of at most `size` by its C2SP path, or null. */
  async tile(path: string, size: number): Promise<Buffer | null> {
    const name = parseTilePath(path);
    if (name === null || name.width > tileWidth(name.level, name.number, size)) return null;
    return this.#bytes(name);
  }

  /** Writes the partial tiles of a signed size, then its checkpoint, so that a file server shows a whole log. */
  async publish(size: number, note: string): Promise<void> {
    // A tile that has become full is on the disk after the flush, and readers fall back to it.
    const names = partialTiles(size).filter((name) => this.#isLast(name));
    await this.#files.flush();
    for (const name of names) await this.#files.publish(tilePath(name), await this.#bytes(name));
    await this.#files.publish('checkpoint', Buffer.from(note));
  }

  /** As `publish` for the last time, durably, with every tile before it. */
  async publishEnd(note: string): Promise<void> {
    await this.publish(this.size, note);
    for (const name of partialTiles(this.size)) this.#files.mustSync(tilePath(name));
    this.#files.mustSync('checkpoint');
    await this.#files.syncAll();
  }

  /** Writes what waits in memory. */
  flush(): Promise<void> {
    return this.#files.flush();
  }

  /** Makes full tiles and bundles durable; gives the size up to which the write-ahead log is no longer needed. */
  async syncAll(): Promise<number> {
    const size = Math.floor(this.size / TILE_WIDTH) * TILE_WIDTH;
    await this.#files.syncAll();
    return size;
  }

  async #resume(size: number): Promise<void> {
    const whole = Math.floor(size / TILE_WIDTH);
    const partials: TreeHash[][] = [];
    for (let level = 1, count = whole; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
      const hashes: TreeHash[] = [];
      for (let number = count - (count % TILE_WIDTH); number < count; number++)
        hashes.push((await this.#fullTile(level - 1, number)).node(TILE_HEIGHT, 0));
      partials.push(hashes);
    }
    this.#edge.resume(whole * TILE_WIDTH, partials);
  }

  async #bytes(name: TileName): Promise<Buffer> {
    if (name.level === 'entries') {
      const entries = this.#isLast(name) ? this.#bundle : await this.#fullBundle(name.number);
      return encodeBundle(entries.slice(0, name.width));
    }
    const tile = await this.#hashTile(name.level, name.number);
    if (tile === null) throw new RangeError('the tile lies beyond the tree');
    return tile.hashes(name.width);
  }

  async #hashTile(level: number, number: number): Promise<TileNodes | null> {
    return this.#isLast({ level, number }) ? this.#edge.partial(level) : this.#fullTile(level, number);
  }

  #isLast({ level, number }: Pick<TileName, 'level' | 'number'>): boolean {
    return number === Math.floor(this.size / TILE_WIDTH ** (level === 'entries' ? 1 : level + 1));
  }

  #addTile(level: number, number: number, tile: TileNodes): void {
    this.#tiles.set(`${level}/${number}`, tile);
    this.#files.add({ level, number, width: TILE_WIDTH }, tile.hashes(TILE_WIDTH));
  }

  async #fullTile(level: number, number: number): Promise<TileNodes> {
    const key = `${level}/${number}`;
    const cached = this.#tiles.get(key);
    if (cached !== undefined) return cached;
    const name: TileName = { level, number, width: TILE_WIDTH };
    const tile = TileNodes.from((await this.#files.read(name)) ?? Buffer.alloc(0));
    if (tile.width !== TILE_WIDTH)
      throw corruption(`${this.#directory}/${tilePath(name)}`, 'the tile is missing or cut off', CHECK);
    this.#tiles.set(key, tile);
    return tile;
  }

  async #fullBundle(number: number): Promise<readonly Buffer[]> {
    const cached = this.#bundles.get(number);
    if (cached !== undefined) return cached;
    const name: TileName = { level: 'entries', number, width: TILE_WIDTH };
    const entries = readBundle((await this.#files.read(name)) ?? Buffer.alloc(0));
    if (entries === null || entries.length !== TILE_WIDTH)
      throw corruption(`${this.#directory}/${tilePath(name)}`, 'the bundle is missing or cut off', CHECK);
    this.#bundles.set(number, entries);
    return entries;
  }
}
