import type { EgressHandler } from '../../egress/types.ts';

/**
 * Hands an answer's bytes to a handler at the handler's pace. What waits is bounded by the engine's context: an answer
 * cannot be longer than that.
 */
export class Outlet {
  readonly #handler: EgressHandler;
  readonly #held: Buffer[] = [];
  #paused = false;
  #ended = false;

  constructor(handler: EgressHandler) {
    this.#handler = handler;
  }

  head(contentType: string): void {
    this.#handler.onHead(200, { 'content-type': contentType });
  }

  write(bytes: Buffer): void {
    if (this.#paused) this.#held.push(bytes);
    else this.#paused = !this.#handler.onData(bytes);
  }

  end(): void {
    this.#ended = true;
    if (this.#held.length === 0) this.#handler.onEnd();
  }

  fail(fault: Error): void {
    this.#held.length = 0;
    this.#handler.onError(fault);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const waited = this.#held.length > 0;
    while (!this.#paused) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#paused = !this.#handler.onData(bytes);
    }
    if (waited && this.#held.length === 0 && this.#ended) this.#handler.onEnd();
  }
}
