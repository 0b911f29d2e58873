import { toFault } from '../../core/fault.ts';
import type { OutcomeStatus } from '../../ledger/leaf.ts';
import type { Health } from '../routing/breaker.ts';
import { retryHeaders } from '../routing/retry.ts';
import {
  contentFiltered,
  egressDenied,
  noEligibleEndpoint,
  providerError,
  surfaceError,
  type SurfaceError,
} from '../errors.ts';

/** Why an attempt gave no good answer: what the ledger records and what the caller is told. */
export interface Failure {
  readonly status: OutcomeStatus;
  readonly code: string;
  readonly error: SurfaceError;
  /** Another endpoint may be asked. */
  readonly mayTryNext: boolean;
  /** The same endpoint may be asked again. */
  readonly mayRepeat: boolean;
  /** What it says of the endpoint. */
  readonly health: Health;
  /** The provider's own headers about asking again. */
  readonly hints: Readonly<Record<string, string>>;
}

const NO_HINTS = {};

/** Statuses with which a provider says that it has not answered and another request may be. */
const PASSING = new Set([408, 429]);

/** A provider's answer that is not the one asked for. `headers` are the provider's. */
export function refusedByProvider(
  endpoint: string,
  http: number,
  headers: Readonly<Record<string, string>>,
): Failure {
  // What a provider says beside a hint stays with it.
  const retry = retryHeaders(headers);
  const again = (PASSING.has(http) || http >= 500) && retry['x-should-retry'] !== 'false';
  return {
    ...failure('provider-error', providerError(endpoint, http, retry)),
    mayTryNext: again,
    mayRepeat: again,
    health: http >= 500 ? 'bad' : PASSING.has(http) ? 'neither' : 'good',
    hints: retry,
  };
}

/** A prompt that the provider's own content filter stopped; no other endpoint is asked to take it. */
export function blockedByFilter(
  endpoint: string,
  headers: Readonly<Record<string, string>>,
  results: Readonly<Record<string, unknown>>,
): Failure {
  const hints = retryHeaders(headers);
  return { ...failure('provider-error', contentFiltered(endpoint, hints, results)), health: 'good', hints };
}

/** An answer that is not what was asked for, or no HTTP at all. The provider has done its work, which is not asked for twice. */
export function garbage(endpoint: string): Failure {
  return { ...failure('provider-error', providerError(endpoint, null, {})), health: 'bad' };
}

/** What a transport reported, before (`http` null) or after the answer's head. */
export function transportFailure(endpoint: string, thrown: unknown, http: number | null): Failure {
  const fault = toFault(thrown);
  switch (fault.code) {
    case 'egress.denied': {
      const guard = String(fault.details['guard']);
      return { ...failure('refused', egressDenied(guard, endpoint)), code: guard };
    }
    case 'egress.garbage':
      return garbage(endpoint);
    case 'egress.invalid_network':
      return { ...failure('not-sent', noEligibleEndpoint([endpoint])), mayTryNext: true };
    case 'egress.unreachable':
      return { ...failure('not-sent', noEligibleEndpoint([endpoint])), ...BROKEN };
    case 'egress.interrupted':
      return interrupted(endpoint, http, fault.details['silent'] === true);
    default:
      return localFailure(fault.code, surfaceError(fault));
  }
}

const BROKEN = { mayTryNext: true, mayRepeat: true, health: 'bad' } as const;

// Inference changes nothing where it runs, so a connection that closed before an answer, as one that was idle may at any
// time, lets the request be repeated. One that only stays silent may be at work still: asking again would pay twice.
function interrupted(endpoint: string, http: number | null, silent: boolean): Failure {
  if (http !== null) return { ...failure('interrupted', providerError(endpoint, null, {})), health: 'bad' };
  const none = failure('interrupted', noEligibleEndpoint([endpoint]));
  return silent ? { ...none, health: 'bad' } : { ...none, ...BROKEN };
}

// What is busy says so itself, here or in the engine; everything else that the engine reports broke off its work.
function localFailure(code: string, error: SurfaceError): Failure {
  const notTaken = code === 'gateway.model_unavailable' || code === 'gateway.overloaded';
  if (notTaken) return { ...failure('not-sent', error), mayTryNext: true };
  if (code === 'gateway.no_eligible_endpoint') return failure('not-sent', error);
  return failure(error.status < 500 ? 'not-sent' : 'interrupted', error);
}

function failure(status: OutcomeStatus, error: SurfaceError): Failure {
  const never = { mayTryNext: false, mayRepeat: false, health: 'neither', hints: NO_HINTS } as const;
  return { status, code: error.code, error, ...never };
}
