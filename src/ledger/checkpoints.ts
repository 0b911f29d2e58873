import type { Anchor } from './anchor.ts';
import { signCheckpoint, type NoteSigner, type TreeHead } from './note.ts';
import { corruption } from './segment.ts';
import type { TiledLog } from './tiled-log.ts';

export interface SignedCheckpoint extends TreeHead {
  readonly note: string;
}

/** Signs checkpoints when they are asked for; those who ask at the same time share a signature. */
export class Checkpoints {
  readonly #signer: NoteSigner;
  readonly #log: TiledLog;
  readonly #anchor: Anchor | null;
  #last: SignedCheckpoint | null = null;
  #signing: Promise<SignedCheckpoint> | null = null;

  constructor(signer: NoteSigner, log: TiledLog, anchor: Anchor | null) {
    this.#signer = signer;
    this.#log = log;
    this.#anchor = anchor;
  }

  /** The last one signed by this process. */
  get last(): SignedCheckpoint | null {
    return this.#last;
  }

  /** A signed checkpoint of at least `size`, which the log has. @throws Fault as `Anchor.swap`. */
  async atLeast(size: number): Promise<SignedCheckpoint> {
    if (size > this.#log.size) throw new RangeError('a checkpoint never speaks of leaves that are not there');
    for (;;) {
      if (this.#last !== null && this.#last.size >= size) return this.#last;
      this.#signing ??= this.#sign();
      await this.#signing;
    }
  }

  async #sign(): Promise<SignedCheckpoint> {
    try {
      const last = this.#last;
      const next = { size: this.#log.size, root: this.#log.root() };
      if (last !== null && (await this.#log.rootAt(last.size)) !== last.root)
        throw corruption('memory', 'the tree is no continuation of its last signed checkpoint', 'Restart');
      const note = signCheckpoint(this.#signer, next);
      // Nobody sees the note before the anchor holds it: a copy of this log cannot sign another past behind it.
      await this.#anchor?.swap(note);
      this.#last = { ...next, note };
      return this.#last;
    } finally {
      this.#signing = null;
    }
  }
}
