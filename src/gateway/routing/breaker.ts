/** Whether an endpoint is asked: while it is open nobody is sent there, then one request tries it alone. */
export type Breaker =
  | { readonly kind: 'closed'; readonly failures: number }
  | { readonly kind: 'open'; readonly until: number }
  | { readonly kind: 'probing' };

/** What an attempt says of the endpoint's health; `neither` when it was not the endpoint that ended it. */
export type Health = 'good' | 'bad' | 'neither';

export interface BreakerTerms {
  /** Failures in a row after which the breaker opens. */
  readonly failures: number;
  /** Milliseconds until one request may try again. */
  readonly pauseMs: number;
}

export const CLOSED: Breaker = { kind: 'closed', failures: 0 };

/** Whether a request may go there now; `probe` asks for the result of this one alone. */
export function admits(breaker: Breaker, now: number): 'yes' | 'probe' | 'no' {
  switch (breaker.kind) {
    case 'closed':
      return 'yes';
    case 'open':
      return now >= breaker.until ? 'probe' : 'no';
    case 'probing':
      return 'no';
  }
}

/**
 * The breaker after a health check of the provider, which says less than an answer: a good one lets the next request
 * try, a bad one leaves the endpoint alone for a pause. The request that is trying it already decides.
 */
export function afterCheck(
  breaker: Breaker,
  well: boolean,
  { now, terms }: { readonly now: number; readonly terms: BreakerTerms },
): Breaker {
  if (breaker.kind === 'probing') return breaker;
  if (!well) return { kind: 'open', until: now + terms.pauseMs };
  return breaker.kind === 'open' ? { kind: 'open', until: now } : breaker;
}

/** The breaker after an attempt. What set out before it opened changes nothing any more. */
export function afterAttempt(
  breaker: Breaker,
  attempt: { readonly probe: boolean; readonly health: Health },
  { now, terms }: { readonly now: number; readonly terms: BreakerTerms },
): Breaker {
  const { probe, health } = attempt;
  if (probe) {
    if (health === 'good') return CLOSED;
    return { kind: 'open', until: health === 'bad' ? now + terms.pauseMs : now };
  }
  if (breaker.kind !== 'closed' || health === 'neither') return breaker;
  if (health === 'good') return CLOSED;
  const failures = breaker.failures + 1;
  return failures < terms.failures
    ? { kind: 'closed', failures }
    : { kind: 'open', until: now + terms.pauseMs };
}
