import type { Config } from '../../core/config.ts';
import type { BreakerTerms } from './breaker.ts';

/** The process's own limits. */
export type RoutingTerms = Config['routing'];

/** What holds for one endpoint. */
export interface EndpointTerms {
  /** Requests there at a time. */
  readonly concurrency: number;
  /** Requests that wait for a place. */
  readonly queue: number;
  readonly breaker: BreakerTerms;
}

export function termsOf(id: string, { concurrency, queue, breaker, endpoints }: RoutingTerms): EndpointTerms {
  const own = Object.hasOwn(endpoints, id) ? endpoints[id] : undefined;
  return { concurrency: own?.concurrency ?? concurrency, queue: own?.queue ?? queue, breaker };
}
