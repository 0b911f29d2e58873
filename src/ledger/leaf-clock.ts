import { SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Clock } from '../core/world.ts';

/** How far the clock may step back before the log refuses leaves until it has caught up, in ms. */
export const CLOCK_TOLERANCE = 5 * SECOND;

/** Times of leaves: none is before a leaf that was durable when it was timed, although the clock may step back. */
export class LeafClock {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Remembers the time of a durable leaf. A reading of the clock that no leaf carries binds nobody. */
  saw(t: number): void {
    this.#last = Math.max(this.#last, t);
  }

  /** Null, or why no leaf can be timed now. */
  trouble(): string | null {
    const behind = this.#last - this.#clock.now();
    if (behind <= CLOCK_TOLERANCE) return null;
    return `the clock is ${behind} ms behind the last leaf; set it right or wait until it has caught up`;
  }

  /** The later of now and the last durable leaf's time. @throws Fault `ledger.clock_regression`. */
  time(): number {
    const trouble = this.trouble();
    if (trouble !== null) throw new Fault('unavailable', 'ledger.clock_regression', trouble);
    return Math.max(this.#last, this.#clock.now());
  }
}
