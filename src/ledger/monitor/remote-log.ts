import { tilePath, tileWidth, type TileName } from '../tile-path.ts';
import { HASH_BYTES, TILE_WIDTH, TileNodes, type TileSource } from '../tree.ts';
import { Defect } from '../verify/findings.ts';

/** A log as somebody else serves it; whatever it answers is attacker-controlled. */
export interface RemoteLog {
  /**
   * The bytes at a path below the log's address, at most one more than `limit` of them; null when they are not there.
   * @throws Fault kind `unavailable` when there is no answer, kind `denied` when the key is refused.
   */
  read(path: string, limit: number): Promise<Buffer | null>;
}

/** The hash tiles of a log of `size` leaves. Each is asked for once. @throws Defect for one that the log must have. */
export function remoteTiles(log: RemoteLog, size: number): TileSource {
  const known = new Map<string, Promise<TileNodes>>();
  return async (level, number) => {
    const width = tileWidth(level, number, size);
    if (width === 0) return null;
    const path = tilePath({ level, number, width });
    const tile = known.get(path) ?? hashTile(log, { level, number, width });
    known.set(path, tile);
    return tile;
  };
}

/**
 * The bytes of a tile or bundle and how many hashes or entries they must hold: its width, or 256 of the full one that a
 * partial one has become (C2SP tlog-tiles "Partial Tiles"). Null when the log has neither.
 */
export async function readTile(
  log: RemoteLog,
  name: TileName,
  limit: number,
): Promise<{ readonly bytes: Buffer; readonly width: number } | null> {
  const bytes = await log.read(tilePath(name), limit);
  if (bytes !== null) return { bytes, width: name.width };
  if (name.width === TILE_WIDTH) return null;
  const full = await log.read(tilePath({ ...name, width: TILE_WIDTH }), limit);
  return full === null ? null : { bytes: full, width: TILE_WIDTH };
}

async function hashTile(log: RemoteLog, name: TileName): Promise<TileNodes> {
  const found = await readTile(log, name, TILE_WIDTH * HASH_BYTES);
  if (found === null) throw new Defect(1, `${tilePath(name)}: not there, though the signed size has it`);
  if (found.bytes.length !== found.width * HASH_BYTES)
    throw new Defect(1, `${tilePath(name)}: expected ${found.width} hashes of ${HASH_BYTES} bytes`);
  return TileNodes.from(found.bytes.subarray(0, name.width * HASH_BYTES));
}
