import type { Clock } from '../../core/world.ts';
import { admits, afterAttempt, afterCheck, CLOSED, type Breaker, type Health } from './breaker.ts';
import type { EndpointTerms } from './terms.ts';

/** Weight of the newest figure in a running mean. */
const NEWEST = 0.3;

/** What this process knows of one endpoint: who is there, who waits, and how it did of late. */
export class Gate {
  readonly #clock: Clock;
  readonly #terms: () => EndpointTerms;
  readonly #waiting = new Set<() => void>();
  #inside = 0;
  #breaker: Breaker = CLOSED;
  #restUntil = 0;
  #plain: Figure = UNKNOWN;
  #streamed: Figure = UNKNOWN;

  constructor(clock: Clock, terms: () => EndpointTerms) {
    this.#clock = clock;
    this.#terms = terms;
  }

  get load(): number {
    return this.#inside + this.#waiting.size;
  }

  get inside(): number {
    return this.#inside;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  figure(stream: boolean): Figure {
    return stream ? this.#streamed : this.#plain;
  }

  /** Milliseconds until the breaker lets somebody through; 0 when it does now. */
  pausedMs(now: number): number {
    const { pauseMs } = this.#terms().breaker;
    if (admits(this.#breaker, now) !== 'no') return 0;
    return this.#breaker.kind === 'open' ? this.#breaker.until - now : pauseMs;
  }

  get broken(): boolean {
    return this.#breaker.kind !== 'closed';
  }

  /** A place is free. */
  free(): boolean {
    return this.#inside < this.#terms().concurrency;
  }

  resting(now: number): boolean {
    return now < this.#restUntil;
  }

  mayQueue(): boolean {
    return this.#waiting.size < this.#terms().queue;
  }

  /** About how long somebody who came now would wait, in milliseconds. */
  expectedWaitMs(stream: boolean): number {
    const { concurrency } = this.#terms();
    return (this.figure(stream).tookMs ?? 0) * Math.ceil((this.#waiting.size + 1) / concurrency);
  }

  /** Takes a free place; true when this request probes an endpoint that is otherwise not asked. */
  enter(now: number): boolean {
    this.#inside += 1;
    return this.#probe(now);
  }

  /** Waits for a place, which the caller then holds; false when none came in time or the signal was aborted. */
  async queue(ms: number, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const over = new AbortController();
    const take = (): void => resolve(true);
    this.#waiting.add(take);
    const late = this.#clock.sleep(ms, AbortSignal.any([signal, over.signal])).catch(() => {});
    void late.then(() => {
      if (this.#waiting.delete(take)) resolve(false);
    });
    const taken = await promise;
    over.abort();
    return taken;
  }

  /** For a place that was waited for: false when the endpoint is not asked any more, and the place is given back. */
  stillOpen(now: number): { readonly probe: boolean } | null {
    if (this.pausedMs(now) === 0) return { probe: this.#probe(now) };
    this.#release();
    return null;
  }

  /** Somebody who probed has the first piece of a good answer, which may go on for long. */
  answers(): void {
    this.#breaker = CLOSED;
  }

  /** Health checks said that the provider is well, or is not. */
  checked(well: boolean): void {
    const now = this.#clock.elapsed();
    this.#breaker = afterCheck(this.#breaker, well, { now, terms: this.#terms().breaker });
  }

  measured(tookMs: number, stream: boolean): void {
    const figure = meanOf(this.figure(stream), tookMs, this.#clock.elapsed());
    if (stream) this.#streamed = figure;
    else this.#plain = figure;
  }

  /** Gives a place back. `restMs` are those for which the endpoint wants to be left alone. */
  leave(attempt: { readonly probe: boolean; readonly health: Health }, restMs: number): void {
    const now = this.#clock.elapsed();
    this.#breaker = afterAttempt(this.#breaker, attempt, { now, terms: this.#terms().breaker });
    if (restMs > 0) this.#restUntil = now + restMs;
    this.#release();
  }

  #probe(now: number): boolean {
    if (admits(this.#breaker, now) !== 'probe') return false;
    this.#breaker = { kind: 'probing' };
    return true;
  }

  // A place passes to whoever waited longest before anybody who comes later can see that it is free.
  #release(): void {
    this.#inside -= 1;
    for (const take of this.#waiting) {
      if (!this.free()) return;
      this.#waiting.delete(take);
      this.#inside += 1;
      take();
    }
  }
}

/** A running mean, and when it was last fed. */
export interface Figure {
  readonly tookMs: number | null;
  readonly at: number;
}

const UNKNOWN: Figure = { tookMs: null, at: 0 };

function meanOf({ tookMs }: Figure, newest: number, at: number): Figure {
  return { tookMs: tookMs === null ? newest : tookMs + NEWEST * (newest - tookMs), at };
}
