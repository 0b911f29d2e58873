import { toFault } from '../../core/fault.ts';
import type { OutcomeStatus } from '../../ledger/leaf.ts';
import {
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
  /** True when nothing of the request left, so that another endpoint may be asked. */
  readonly mayTryNext: boolean;
}

// What a provider says beside a hint stays with it; RFC 9110 section 10.2.3 has seconds or a date.
const RETRY_HEADERS: readonly (readonly [string, RegExp])[] = [
  ['retry-after', /^(\d{1,9}|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)$/],
  ['retry-after-ms', /^\d{1,12}(\.\d{1,9})?$/],
  ['x-should-retry', /^(true|false)$/],
];

/** A provider's answer that is not the one asked for. `headers` are the provider's. */
export function refusedByProvider(
  endpoint: string,
  http: number,
  headers: Readonly<Record<string, string>>,
): Failure {
  const retry: Record<string, string> = {};
  for (const [name, form] of RETRY_HEADERS) {
    const value = headers[name];
    if (value !== undefined && form.test(value)) retry[name] = value;
  }
  return failure('provider-error', providerError(endpoint, http, retry));
}

/** An answer that is not what was asked for, or no HTTP at all. */
export function garbage(endpoint: string): Failure {
  return failure('provider-error', providerError(endpoint, null, {}));
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
    case 'egress.unreachable':
    case 'egress.invalid_network':
      return { ...failure('not-sent', noEligibleEndpoint([endpoint])), mayTryNext: true };
    case 'egress.interrupted':
      return http === null
        ? failure('interrupted', noEligibleEndpoint([endpoint]))
        : failure('interrupted', providerError(endpoint, null, {}));
    default:
      return localFailure(fault.code, surfaceError(fault));
  }
}

// The local engine says what it could not take on; everything else that it reports broke off its work.
function localFailure(code: string, error: SurfaceError): Failure {
  const notTaken = code === 'gateway.model_unavailable' || code === 'gateway.overloaded';
  if (notTaken) return { ...failure('not-sent', error), mayTryNext: true };
  return failure(error.status < 500 ? 'not-sent' : 'interrupted', error);
}

function failure(status: OutcomeStatus, error: SurfaceError): Failure {
  return { status, code: error.code, error, mayTryNext: false };
}
