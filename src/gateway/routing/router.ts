import type { World } from '../../core/world.ts';
import { Gate } from './gate.ts';
import { termsOf, type EndpointTerms, type RoutingTerms } from './terms.ts';

/** How an endpoint stands, for people and metrics. */
export interface EndpointState {
  readonly endpoint: string;
  readonly inside: number;
  readonly waiting: number;
  /** Closed again only by an answer. */
  readonly broken: boolean;
  /** Milliseconds until somebody may try it; 0 when it can be asked. */
  readonly pausedMs: number;
}

/** The state of routing in this process: one gate for each endpoint, which outlives bundles and reloads. */
export class Router {
  readonly world: World;
  readonly #terms: () => RoutingTerms;
  readonly #gates = new Map<string, Gate>();

  constructor(world: World, terms: () => RoutingTerms) {
    this.world = world;
    this.#terms = terms;
  }

  get terms(): RoutingTerms {
    return this.#terms();
  }

  gate(endpoint: string): Gate {
    const known = this.#gates.get(endpoint);
    if (known !== undefined) return known;
    const gate = new Gate(this.world.clock, endpointTerms(endpoint, this.#terms));
    this.#gates.set(endpoint, gate);
    return gate;
  }

  states(): readonly EndpointState[] {
    const now = this.world.clock.elapsed();
    return [...this.#gates].map(([endpoint, gate]) => ({
      endpoint,
      inside: gate.inside,
      waiting: gate.waiting,
      broken: gate.broken,
      pausedMs: gate.pausedMs(now),
    }));
  }
}

// Worked out once for each configuration: every request asks.
function endpointTerms(endpoint: string, terms: () => RoutingTerms): () => EndpointTerms {
  let from = terms();
  let made = termsOf(endpoint, from);
  return () => {
    const now = terms();
    if (now === from) return made;
    from = now;
    made = termsOf(endpoint, now);
    return made;
  };
}
