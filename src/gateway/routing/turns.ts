import { Fault } from '../../core/fault.ts';
import type { EndpointDecision, RoutedModel } from '../../policy/types.ts';
import { Contender, type Turn } from './contender.ts';
import type { Router } from './router.ts';
import { choose } from './strategy.ts';

/** Who waits for the answer. */
export interface Waiting {
  readonly gone: boolean;
  /** Aborted when nobody waits any more. */
  signal(): AbortSignal;
}

export interface TurnOptions<T> {
  /** Those that policy allows, in the bundle's order; there is no way to any other. */
  readonly allowed: readonly EndpointDecision[];
  readonly model: RoutedModel;
  readonly stream: boolean;
  readonly client: Waiting;
  /** The request as an endpoint wants it; throws for what that endpoint cannot honour. */
  readonly prepare: (decision: EndpointDecision) => T;
}

/** One request's way through its legal endpoints. */
export class Turns<T> {
  readonly #router: Router;
  readonly #options: TurnOptions<T>;
  readonly #contenders: readonly Contender<T>[];
  readonly #deadline: number;
  #repeats = 0;
  #cannot: unknown = null;

  constructor(router: Router, options: TurnOptions<T>) {
    this.#router = router;
    this.#options = options;
    this.#deadline = router.world.clock.elapsed() + router.terms.waitMs;
    this.#contenders = options.allowed.map((decision) => {
      const found = options.model.from.find(({ endpoint }) => endpoint.id === decision.endpoint);
      const { weight = 1, endpoint } = found ?? {};
      const facts = { weight, price: endpoint?.price ?? null, stream: options.stream };
      return new Contender(decision, options.prepare, { router, facts });
    });
  }

  /**
   * The turn of the first endpoint; one with a refusal when none can be asked now; null when the client left while it
   * waited.
   * @throws what `prepare` threw, when no endpoint can honour the request.
   */
  async first(): Promise<Turn<T> | null> {
    const turn = await this.#ask(this.#contenders);
    if (turn !== null || this.#options.client.gone) return turn;
    const nearest = this.#contenders.find((contender) => this.#prepare(contender));
    if (nearest === undefined) throw this.#cannot;
    return nearest.refuse(this.#refusal());
  }

  /** The turn of the next endpoint after a failure; null when the request has come to its end. */
  async next(): Promise<Turn<T> | null> {
    const other = await this.#ask(this.#contenders.filter(({ attempts }) => attempts === 0));
    if (other !== null || this.#options.client.gone) return other;
    return this.#repeat();
  }

  // Whoever is asked again is the one that may be asked soonest, and not before.
  async #repeat(): Promise<Turn<T> | null> {
    if (this.#repeats >= this.#router.terms.repeats) return null;
    const again = this.#contenders
      .filter(({ againAt }) => againAt <= this.#deadline)
      .toSorted((a, b) => a.againAt - b.againAt)[0];
    if (again === undefined) return null;
    this.#repeats += 1;
    const { clock } = this.#router.world;
    try {
      await clock.sleep(Math.max(0, again.againAt - clock.elapsed()), this.#options.client.signal());
    } catch {
      return null;
    }
    return this.#ask([again]);
  }

  async #ask(wanted: readonly Contender<T>[]): Promise<Turn<T> | null> {
    for (;;) {
      const now = this.#router.world.clock.elapsed();
      const pool = wanted.filter((contender) => contender.able && contender.gate.pausedMs(now) === 0);
      const free = pool.filter(({ gate }) => gate.free());
      const willing = free.filter(({ gate }) => !gate.resting(now));
      const waits = free.length === 0;
      const from = waits ? pool.filter(({ gate }) => gate.mayQueue()) : willing.length > 0 ? willing : free;
      const contender = this.#chosen(from, now);
      if (contender === null) return null;
      if (!this.#prepare(contender)) continue;
      if (!waits) return contender.enter(now);
      const placed = await contender.gate.queue(this.#deadline - now, this.#options.client.signal());
      if (!placed) return null;
      const turn = contender.take(this.#router.world.clock.elapsed());
      if (turn !== null) return turn;
    }
  }

  #chosen(pool: readonly Contender<T>[], now: number): Contender<T> | null {
    const { strategy } = this.#options.model;
    return pool[choose(strategy, pool, { now, random: () => this.#router.world.random.unit() })] ?? null;
  }

  // Each request is made ready when its turn comes. An endpoint that cannot honour it is passed over.
  #prepare(contender: Contender<T>): boolean {
    const trouble = contender.prepare();
    if (trouble !== null) this.#cannot ??= trouble.thrown;
    return trouble === null;
  }

  #refusal(): Fault {
    const now = this.#router.world.clock.elapsed();
    const gates = this.#contenders.filter(({ able }) => able).map(({ gate }) => gate);
    const pauses = gates.map((gate) => gate.pausedMs(now));
    if (pauses.every((ms) => ms > 0)) return notAnswering(Math.min(...pauses));
    return overloaded(Math.min(...gates.map((gate) => gate.expectedWaitMs(this.#options.stream))));
  }
}

function notAnswering(retryAfterMs: number): Fault {
  return new Fault('unavailable', 'gateway.no_eligible_endpoint', 'endpoints that failed are left alone', {
    details: { retryAfterMs },
  });
}

function overloaded(retryAfterMs: number): Fault {
  return new Fault('unavailable', 'gateway.overloaded', 'every endpoint is busy and its queue is full', {
    details: { retryAfterMs },
  });
}
