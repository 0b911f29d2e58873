import { Sha256, sha256 } from './sha256.ts';

// RFC 9162 section 2.1.1: the prefixes keep a leaf from being read as an inner node.
const LEAF_PREFIX = Uint8Array.of(0x00);
const NODE_PREFIX = Uint8Array.of(0x01);

export type Hash = Uint8Array<ArrayBuffer>;

export function hashLeaf(entry: Uint8Array): Hash {
  return new Sha256().update(LEAF_PREFIX).update(entry).digest();
}

export function hashChildren(left: Uint8Array, right: Uint8Array): Hash {
  return new Sha256().update(NODE_PREFIX).update(left).update(right).digest();
}

/** The root over leaf hashes given in order, holding one hash for each bit of the size. */
export class TreeRoot {
  #size = 0;
  readonly #edge: Hash[] = [];

  get size(): number {
    return this.#size;
  }

  append(leafHash: Hash): void {
    let hash = leafHash;
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) {
      const left = this.#edge.pop();
      if (left !== undefined) hash = hashChildren(left, hash);
    }
    this.#edge.push(hash);
    this.#size++;
  }

  root(): Hash {
    return (
      this.#edge.reduceRight<Hash | null>(
        (right, left) => (right === null ? left : hashChildren(left, right)),
        null,
      ) ?? sha256(new Uint8Array())
    );
  }
}

/** RFC 9162 section 2.1.1 over whole entries. */
export function rootFromEntries(entries: Iterable<Uint8Array>): Hash {
  const tree = new TreeRoot();
  for (const entry of entries) tree.append(hashLeaf(entry));
  return tree.root();
}
