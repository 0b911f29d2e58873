import type { Fault } from '../../core/fault.ts';
import type { EndpointDecision, Price } from '../../policy/types.ts';
import type { Health } from './breaker.ts';
import type { Gate } from './gate.ts';
import { restAfter, waitBefore } from './retry.ts';
import type { Router } from './router.ts';
import type { Choice } from './strategy.ts';

/** A failed attempt, as far as later ones depend on it. */
export interface Failed {
  readonly http: number | null;
  readonly health: Health;
  /** The same endpoint may be asked again. */
  readonly mayRepeat: boolean;
  /** Milliseconds after which the provider wants to be asked again; null when it does not say. */
  readonly hintMs: number | null;
}

/** An endpoint's turn to be asked. It is given back by exactly one of `done`, `failed` and `left`. */
export interface Turn<T> {
  readonly decision: EndpointDecision;
  readonly prepared: T;
  /** Why nothing may be sent there now; null when it may. */
  readonly refusal: Fault | null;
  /** The first piece of a good stream is there. */
  begun(): void;
  /** A good answer is whole. */
  done(): void;
  failed(failed: Failed): void;
  /** It ended for a reason that says nothing about the endpoint. */
  left(): void;
}

/** An allowed endpoint in the course of one request. */
export class Contender<T> implements Choice, Turn<T> {
  readonly decision: EndpointDecision;
  readonly gate: Gate;
  readonly weight: number;
  readonly price: number | null;
  refusal: Fault | null = null;
  attempts = 0;
  /** When it may be asked again, on the clock of elapsed time. */
  againAt = Number.POSITIVE_INFINITY;
  readonly #router: Router;
  readonly #stream: boolean;
  readonly #prepare: (decision: EndpointDecision) => T;
  #prepared: { readonly value: T } | null = null;
  #trouble: { readonly thrown: unknown } | null = null;
  #probe = false;
  #entered = 0;
  #begun = false;

  constructor(
    decision: EndpointDecision,
    prepare: (decision: EndpointDecision) => T,
    { router, facts }: { router: Router; facts: { weight: number; price: Price | null; stream: boolean } },
  ) {
    this.decision = decision;
    this.gate = router.gate(decision.endpoint);
    this.weight = facts.weight;
    this.price = facts.price === null ? null : facts.price.in + facts.price.out;
    this.#router = router;
    this.#stream = facts.stream;
    this.#prepare = prepare;
  }

  /** False once it is known that this endpoint cannot honour the request. */
  get able(): boolean {
    return this.#trouble === null;
  }

  get load(): number {
    return this.gate.load;
  }

  get tookMs(): number | null {
    return this.gate.figure(this.#stream).tookMs;
  }

  get measuredAt(): number {
    return this.gate.figure(this.#stream).at;
  }

  get prepared(): T {
    if (this.#prepared === null) throw new Error('an endpoint has its turn after its request was prepared');
    return this.#prepared.value;
  }

  /** Null once the request is ready, else what its adapter threw. */
  prepare(): { readonly thrown: unknown } | null {
    if (this.#prepared !== null || this.#trouble !== null) return this.#trouble;
    try {
      this.#prepared = { value: this.#prepare(this.decision) };
    } catch (thrown) {
      this.#trouble = { thrown };
    }
    return this.#trouble;
  }

  /** Takes a place that is free. */
  enter(now: number): Turn<T> {
    return this.#enter(this.gate.enter(now), now);
  }

  /** Takes a place that was waited for; null when the endpoint is not asked any more, and the place is given back. */
  take(now: number): Turn<T> | null {
    const open = this.gate.stillOpen(now);
    return open === null ? null : this.#enter(open.probe, now);
  }

  refuse(refusal: Fault): Turn<T> {
    this.refusal = refusal;
    return this;
  }

  begun(): void {
    this.#begun = true;
    this.#measure();
    if (this.#probe) this.gate.answers();
    this.#probe = false;
  }

  done(): void {
    if (!this.#begun) this.#measure();
    this.#leave('good', 0);
  }

  failed({ http, health, mayRepeat, hintMs }: Failed): void {
    const { clock, random } = this.#router.world;
    if (mayRepeat) this.againAt = clock.elapsed() + waitBefore(this.attempts, hintMs, random.unit());
    else this.againAt = Number.POSITIVE_INFINITY;
    this.#leave(health, restAfter(http, hintMs));
  }

  left(): void {
    this.#leave('neither', 0);
  }

  #enter(probe: boolean, now: number): Turn<T> {
    this.#probe = probe;
    this.#entered = now;
    this.attempts += 1;
    return this;
  }

  #measure(): void {
    this.gate.measured(this.#router.world.clock.elapsed() - this.#entered, this.#stream);
  }

  // What was refused a turn holds no place.
  #leave(health: Health, restMs: number): void {
    if (this.refusal === null) this.gate.leave({ probe: this.#probe, health }, restMs);
  }
}
