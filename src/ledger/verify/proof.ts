import { sameBytes } from './sha256.ts';
import type { Hash } from './tree.ts';
import { hashChildren } from './tree.ts';

/** `path` begins with the leaf's sibling; `index` counts from 0. All of it may come from an attacker. */
export interface InclusionProof {
  readonly leafHash: Hash;
  readonly index: bigint;
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly path: readonly Uint8Array[];
}

/** Whether the leaf stands at the index of the tree: RFC 9162 section 2.1.3.2. */
export function verifyInclusion(proof: InclusionProof): boolean {
  const { leafHash, index, size, root, path } = proof;
  if (index < 0n || index >= size) return false;
  let hash = leafHash;
  const arrived = climb({ node: index, last: size - 1n }, path, (sibling, side) => {
    hash = side === 'left' ? hashChildren(sibling, hash) : hashChildren(hash, sibling);
  });
  return arrived && sameBytes(hash, root);
}

export interface ConsistencyProof {
  readonly oldSize: bigint;
  readonly oldRoot: Hash;
  readonly newSize: bigint;
  readonly newRoot: Hash;
  readonly path: readonly Hash[];
}

/** Whether the newer tree begins with the older one: RFC 9162 section 2.1.4.2. Every tree begins with the empty one. */
export function verifyConsistency(proof: ConsistencyProof): boolean {
  const { oldSize, oldRoot, newSize, newRoot, path } = proof;
  if (oldSize < 0n || oldSize > newSize) return false;
  if (oldSize === newSize) return path.length === 0 && sameBytes(oldRoot, newRoot);
  if (oldSize === 0n) return path.length === 0;
  // An older tree that is whole is itself the first node of the path.
  const roots = consistencyRoots({ oldSize, newSize }, isPowerOfTwo(oldSize) ? [oldRoot, ...path] : path);
  return roots !== null && sameBytes(roots.older, oldRoot) && sameBytes(roots.newer, newRoot);
}

/**
 * The roots of both trees that the nodes of a consistency proof lead to, or null when there are too few or too many.
 * The nodes begin with the last subtree of the older tree, also where a proof leaves it out because it is that tree.
 * Needs 0 < oldSize < newSize.
 */
export function consistencyRoots(
  { oldSize, newSize }: { oldSize: bigint; newSize: bigint },
  nodes: readonly Hash[],
): { older: Hash; newer: Hash } | null {
  const [first, ...rest] = nodes;
  if (first === undefined) return null;
  let [node, last] = [oldSize - 1n, newSize - 1n];
  while (isRight(node)) [node, last] = [node >> 1n, last >> 1n];
  let older = first;
  let newer = first;
  const arrived = climb({ node, last }, rest, (sibling, side) => {
    // What stands to the right came after the older tree.
    if (side === 'left') older = hashChildren(sibling, older);
    newer = side === 'left' ? hashChildren(sibling, newer) : hashChildren(newer, sibling);
  });
  return arrived ? { older, newer } : null;
}

/**
 * Goes up from `node` of the level whose right-most node is `last`, one sibling of `path` at a time, and tells whether
 * the path ends at the root.
 */
function climb(
  from: { node: bigint; last: bigint },
  path: readonly Uint8Array[],
  join: (sibling: Uint8Array, side: 'left' | 'right') => void,
): boolean {
  let { node, last } = from;
  for (const sibling of path) {
    if (last === 0n) return false;
    const left = isRight(node) || node === last;
    join(sibling, left ? 'left' : 'right');
    // A right-most node without a sibling rises until it has one.
    if (left) while (!isRight(node) && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n;
}

function isRight(node: bigint): boolean {
  return (node & 1n) === 1n;
}

function isPowerOfTwo(size: bigint): boolean {
  return (size & (size - 1n)) === 0n;
}
