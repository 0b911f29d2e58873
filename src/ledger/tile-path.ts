import { TILE_WIDTH } from './tree.ts';

/** A tile of hashes at a level, or a bundle of entries; `width` 256 is the full one. */
export interface TileName {
  readonly level: number | 'entries';
  readonly number: number;
  readonly width: number;
}

// C2SP tlog-tiles: groups of three digits, all but the last behind an "x"; five groups hold every number below 2^53.
const TILE_PATH = /^tile\/(entries|\d|[1-5]\d|6[0-3])\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The path below the log's folder, e.g. `tile/0/x001/x234/067.p/8`. */
export function tilePath({ level, number, width }: TileName): string {
  let digits = String(number);
  digits = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = digits.match(/\d{3}/g) ?? [];
  const grouped = groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/');
  return `tile/${level}/${grouped}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Null for a path that no tile has; the path is attacker-controlled. */
export function parseTilePath(path: string): TileName | null {
  const [, level, groups, width] = TILE_PATH.exec(path) ?? [];
  if (level === undefined || groups === undefined) return null;
  const number = Number(groups.replaceAll(/[x/]/g, ''));
  const name: TileName = {
    level: level === 'entries' ? level : Number(level),
    number,
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  // One tile has one path: leading groups of zeros and a partial of 256 are other spellings of it.
  return Number.isSafeInteger(number) && tilePath(name) === path ? name : null;
}

/** How many hashes or entries the tile has in a tree of this size; 0 when it does not exist. */
export function tileWidth(level: number | 'entries', number: number, size: number): number {
  const hashes = level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - number * TILE_WIDTH));
}

/** Every partial tile and bundle of a tree of this size. */
export function partialTiles(size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0, hashes = size; hashes > 0; level++, hashes = Math.floor(hashes / TILE_WIDTH)) {
    const width = hashes % TILE_WIDTH;
    const number = Math.floor(hashes / TILE_WIDTH);
    if (width === 0) continue;
    names.push({ level, number, width });
    if (level === 0) names.push({ level: 'entries', number, width });
  }
  return names;
}
