import { EMPTY_ROOT, nodeHash, type TreeHash } from '../tree.ts';

/** The tree over leaves that were read in order, holding one hash for each bit of the size that is set. */
export class CompactTree {
  #size: number;
  readonly #nodes: TreeHash[];

  /** `nodes` are the roots of the whole subtrees that the first `size` leaves fall into, the largest first. */
  constructor(size: number, nodes: readonly TreeHash[]) {
    this.#size = size;
    this.#nodes = [...nodes];
  }

  get size(): number {
    return this.#size;
  }

  get nodes(): readonly TreeHash[] {
    return this.#nodes;
  }

  append(leaf: TreeHash): void {
    let node = leaf;
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) {
      const left = this.#nodes.pop();
      if (left !== undefined) node = nodeHash(left, node);
    }
    this.#nodes.push(node);
    this.#size += 1;
  }

  root(): TreeHash {
    const joined = this.#nodes.reduceRight<TreeHash | null>(
      (right, left) => (right === null ? left : nodeHash(left, right)),
      null,
    );
    return joined ?? EMPTY_ROOT;
  }
}

/** How many whole subtrees so many leaves fall into. */
export function subtreeCount(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
