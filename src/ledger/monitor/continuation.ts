import type { TreeHead } from '../note.ts';
import { hashToBase64, TreeReader, type TreeHash } from '../tree.ts';
import { Defect } from '../verify/findings.ts';
import { consistencyRoots } from '../verify/proof.ts';
import type { Hash } from '../verify/tree.ts';
import { remoteTiles, type RemoteLog } from './remote-log.ts';

/** Whether a log continues what was seen of it; nodes of the proof in base64, the older tree's last subtree first. */
export type Continuation = { readonly forked: false } | { readonly forked: true; readonly nodes: string[] };

/**
 * Compares a signed tree head with an older one that was seen before. The proof is made from the log's tiles and counts
 * only if it leads to the newer root, which the log signed.
 * @throws Defect when the tiles are missing, misshapen or lead elsewhere: then nothing is proven in either direction.
 * @throws Faults of `RemoteLog.read`
 */
export async function continuationOf(
  log: RemoteLog,
  older: TreeHead,
  newer: TreeHead,
): Promise<Continuation> {
  if (older.size === newer.size)
    return older.root === newer.root ? { forked: false } : { forked: true, nodes: [] };
  const reader = new TreeReader(remoteTiles(log, newer.size));
  if (older.size === 0) {
    if ((await reader.rootAt(newer.size)) !== newer.root) throw elsewhere(newer);
    return { forked: false };
  }
  const path = await reader.consistency(older.size, newer.size);
  const nodes = isPowerOfTwo(older.size) ? [await reader.rootAt(older.size), ...path] : path;
  const sizes = { oldSize: BigInt(older.size), newSize: BigInt(newer.size) };
  const roots = consistencyRoots(sizes, nodes.map(bytesOf));
  if (roots === null || textOf(roots.newer) !== newer.root) throw elsewhere(newer);
  if (textOf(roots.older) === older.root) return { forked: false };
  return { forked: true, nodes: nodes.map(hashToBase64) };
}

function elsewhere({ size }: TreeHead): Defect {
  return new Defect(1, `its hash tiles do not lead to the root that it signed for ${size} entries`);
}

function bytesOf(value: TreeHash): Hash {
  return Uint8Array.from(Buffer.from(value, 'latin1'));
}

function textOf(value: Hash): TreeHash {
  return Buffer.from(value).toString('latin1');
}

function isPowerOfTwo(size: number): boolean {
  return 2 ** Math.round(Math.log2(size)) === size;
}
