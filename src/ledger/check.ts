import { openCheckpoint, readVkey, type TreeHead } from './note.ts';
import { MAX_ENTRY_BYTES } from './leaf.ts';
import { readBundle } from './segment.ts';
import { partialTiles, tilePath, tileWidth, type TileName } from './tile-path.ts';
import { judgePresented, presentedSize, succession } from './presented.ts';
import { hashToBase64, leafHash, TILE_WIDTH, TreeEdge, type TileNodes, type TreeHash } from './tree.ts';
import { Defect, type Exit } from './verify/findings.ts';

/** Where a log lies: a folder or an address. Null for what is not there; the bytes are attacker-controlled. */
export interface LogSource {
  read(path: string): Promise<Buffer | null>;
}

/** No file of a log is longer: a bundle of 256 of the longest entries. */
export const LONGEST_FILE = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/** `exit` as `verify` has it: 0 the log is whole, 1 it is not, 2 it cannot be checked. */
export interface LogCheck {
  readonly exit: Exit;
  /** The first is `valid`, `invalid` or `unusable`; then what was found. */
  readonly lines: readonly string[];
}

// Enough to see whether one file is damaged or all are.
const MAX_FINDINGS = 20;

/**
 * Derives every tile and the root anew from the entries and compares them with the signed checkpoint. Memory is that of
 * a bundle and one tile a level, whatever the log's size. `presented` is a signed note that somebody shows: it is judged
 * by this log and by what its first leaf says of the log before it.
 */
export async function checkLog(
  source: LogSource,
  vkey: string,
  presented: string | null = null,
): Promise<LogCheck> {
  try {
    const head = await readHead(source, vkey);
    const shown = presented === null ? null : { note: presented, size: presentedSize(presented) };
    const derivation = new Derivation(source, head, shown?.size ?? null);
    const findings = await derivation.run();
    if (findings.length > 0) return { exit: 1, lines: ['invalid', ...findings] };
    const { first, last, rootAtSize } = derivation;
    const facts = [`size=${head.size} root=${hashToBase64(head.root)}`, ...(await succession(first, last))];
    if (shown === null) return { exit: 0, lines: ['valid', ...facts] };
    const log = { key: readVkey(vkey), head, first, last, rootAtSize };
    const { exit, line } = await judgePresented(shown.note, log);
    return { exit, lines: [WORDS[exit], `presented: ${line}`, ...facts] };
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return { exit: error.exit, lines: [error.exit === 1 ? 'invalid' : 'unusable', error.message] };
  }
}

const WORDS = { 0: 'valid', 1: 'invalid', 2: 'unusable' } as const;

async function readHead(source: LogSource, vkey: string): Promise<TreeHead> {
  const key = readVkey(vkey);
  const note = await source.read('checkpoint');
  if (note === null) throw new Defect(2, 'checkpoint: not found');
  const head = await openCheckpoint(note, key);
  if (head instanceof Defect) throw head;
  return head;
}

class Derivation {
  readonly #source: LogSource;
  readonly #head: TreeHead;
  readonly #edge: TreeEdge;
  readonly #full: { name: TileName; tile: TileNodes }[] = [];
  readonly #findings: string[] = [];
  readonly #wantedSize: number | null;
  first: Buffer | null = null;
  last: Buffer | null = null;
  /** The root at the size that was asked for, or null when the log never had it. */
  rootAtSize: TreeHash | null = null;

  constructor(source: LogSource, head: TreeHead, wantedSize: number | null) {
    this.#source = source;
    this.#head = head;
    this.#wantedSize = wantedSize;
    this.#edge = new TreeEdge((level, number, tile) => {
      this.#full.push({ name: { level, number, width: TILE_WIDTH }, tile });
    });
  }

  async run(): Promise<readonly string[]> {
    const { size } = this.#head;
    for (let number = 0; number * TILE_WIDTH < size; number++) {
      const entries = await this.#entries(number);
      // Every later hash depends on these entries: nothing further could be told from it.
      if (entries === null) return this.#findings;
      for (const entry of entries) this.#take(entry);
      for (const { name, tile } of this.#full.splice(0)) await this.#compare(name, tile);
    }
    for (const name of partialTiles(size)) {
      const tile = name.level === 'entries' ? null : this.#edge.partial(name.level);
      if (tile !== null) await this.#compare(name, tile);
    }
    if (this.#edge.root() !== this.#head.root)
      this.#report(
        `root: the entries give ${hashToBase64(this.#edge.root())}, the checkpoint says ${hashToBase64(this.#head.root)}`,
      );
    return this.#findings;
  }

  #take(entry: Buffer): void {
    this.#edge.append(leafHash(entry));
    this.first ??= entry;
    this.last = entry;
    if (this.#edge.size === this.#wantedSize) this.rootAtSize = this.#edge.root();
  }

  async #entries(number: number): Promise<readonly Buffer[] | null> {
    const name: TileName = { level: 'entries', number, width: this.#width('entries', number) };
    const bytes = await this.#read(name);
    if (bytes === null) return this.#report(`${tilePath(name)}: not found`);
    const entries = readBundle(bytes);
    if (entries === null || entries.length < name.width || entries.length > TILE_WIDTH)
      return this.#report(`${tilePath(name)}: expected a bundle of ${name.width} whole entries`);
    return entries.slice(0, name.width);
  }

  async #compare(name: TileName, derived: TileNodes): Promise<void> {
    const bytes = await this.#read(name);
    const expected = derived.hashes(name.width);
    if (bytes === null) this.#report(`${tilePath(name)}: not found`);
    else if (!bytes.subarray(0, expected.length).equals(expected))
      this.#report(`${tilePath(name)}: its hashes are not those of the entries`);
  }

  // A partial tile may be gone once the full one exists, which begins with the same hashes.
  async #read(name: TileName): Promise<Buffer | null> {
    const bytes = await this.#source.read(tilePath(name));
    if (bytes !== null || name.width === TILE_WIDTH) return bytes;
    return this.#source.read(tilePath({ ...name, width: TILE_WIDTH }));
  }

  #width(level: TileName['level'], number: number): number {
    return tileWidth(level, number, this.#head.size);
  }

  #report(finding: string): null {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding);
    return null;
  }
}
