import { Fault } from '../core/fault.ts';

/**
 * Which bundle may decide at this moment. A decision passes the gate before its leaf enters the log and counts until
 * that leaf is durable; a change shuts the gate, lets those on their way arrive, and opens it for the new bundle. So
 * the log holds no decision of one bundle after the leaf of its successor.
 */
export class BundleGate {
  #bundle: string;
  #passing = 0;
  #drained: (() => void) | null = null;
  #shut: PromiseWithResolvers<void> | null = null;

  constructor(bundle: string) {
    this.#bundle = bundle;
  }

  decides(bundle: string): boolean {
    return this.#shut === null && bundle === this.#bundle;
  }

  /**
   * Runs `append` when this bundle decides now.
   * @throws Fault kind `conflict` code `crossing.bundle_changed` when it does not: decide again after `opened`.
   */
  async pass<T>(bundle: string, append: () => Promise<T>): Promise<T> {
    if (!this.decides(bundle))
      throw new Fault('conflict', 'crossing.bundle_changed', 'another bundle decides now');
    this.#passing += 1;
    try {
      return await append();
    } finally {
      this.#passing -= 1;
      if (this.#passing === 0) this.#drained?.();
    }
  }

  /** Resolves once decisions are made, which is at once unless the bundle is being changed. */
  async opened(): Promise<void> {
    await this.#shut?.promise;
  }

  /** Takes no decision from now on; resolves when those on their way have arrived. Not while it is shut. */
  async shut(): Promise<void> {
    this.#shut = Promise.withResolvers<void>();
    if (this.#passing > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
    this.#drained = null;
  }

  /** Lets `bundle` decide. */
  open(bundle: string): void {
    this.#bundle = bundle;
    this.#shut?.resolve();
    this.#shut = null;
  }
}
