import type { Fault, FaultKind } from '../core/fault.ts';

/** An error in OpenAI's and Azure's shape; `headers` go beside it. */
export interface SurfaceError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly param?: string | null;
  readonly innererror?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export const JSON_TYPE = 'application/json; charset=utf-8';

const NO_RETRY = { 'x-should-retry': 'false' };
const MS = 1000;
const MAX_SHOWN = 512;

/** The body that the official clients read: `{"error":{message,type,param,code,innererror}}`. */
export function errorBody(error: SurfaceError): Buffer {
  const { message, code, param = null, innererror } = error;
  const shown = {
    message: short(message),
    type: errorType(error.status),
    param: param && short(param),
    code,
  };
  return Buffer.from(JSON.stringify({ error: innererror === undefined ? shown : { ...shown, innererror } }));
}

// Messages name what the caller mistyped, whose length is the caller's choice.
function short(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** The event that takes the place of a broken stream's normal end. */
export function errorEvent(error: SurfaceError): Buffer {
  return Buffer.concat([Buffer.from('data: '), errorBody(error), Buffer.from('\n\n')]);
}

/** Any fault that a surface meets, as docs/interface.md's table has it; what is unknown shows nothing of itself. */
export function surfaceError(fault: Fault): SurfaceError {
  const known = BY_CODE[fault.code];
  if (known !== undefined) return known(fault);
  if (fault.code.startsWith('ledger.') && fault.kind !== 'missing') return evidenceUnavailable();
  const general = BY_KIND[fault.kind];
  if (general !== undefined) return plain(general.status, general.code)(fault);
  return {
    status: 500,
    code: 'internal_error',
    message: 'an unexpected error occurred; nothing more is known',
  };
}

export function evidenceUnavailable(): SurfaceError {
  return {
    status: 503,
    code: 'evidence_unavailable',
    message: 'the decision cannot be recorded at the moment, so nothing was sent',
    headers: NO_RETRY,
  };
}

export function egressDenied(guard: string, endpoint: string): SurfaceError {
  return {
    status: 502,
    code: 'egress_denied',
    message: `the connection to ${endpoint} was refused by the guard "${guard}"`,
    innererror: { guard, endpoint },
    headers: NO_RETRY,
  };
}

/** `retryAfter` in seconds. */
export function noEligibleEndpoint(tried: readonly string[], retryAfter = '5'): SurfaceError {
  return {
    status: 503,
    code: 'no_eligible_endpoint',
    message: `no endpoint that policy allows answered; tried: ${tried.join(', ')}`,
    innererror: { tried },
    headers: { 'retry-after': retryAfter },
  };
}

/** The provider's own 4xx, else 502. Its text is not repeated: it may hold parts of the prompt. */
export function providerError(
  endpoint: string,
  http: number | null,
  retry: Record<string, string>,
): SurfaceError {
  const passed = http !== null && http >= 400 && http < 500;
  const what = passed
    ? `refused the request with status ${http}`
    : `gave no usable answer${http === null ? '' : ` (status ${http})`}`;
  return {
    status: passed ? http : 502,
    code: 'provider_error',
    message: `${endpoint} ${what}`,
    headers: retry,
  };
}

/** What Azure's clients read of a prompt that its filters stop; the provider's text is not repeated. */
export function contentFiltered(
  endpoint: string,
  retry: Record<string, string>,
  results: Readonly<Record<string, unknown>>,
): SurfaceError {
  return {
    status: 400,
    code: 'content_filter',
    param: 'prompt',
    message: `the content filter of ${endpoint} stopped the prompt`,
    innererror: { code: 'ResponsibleAIPolicyViolation', content_filter_result: results },
    headers: retry,
  };
}

export function upstreamInterrupted(endpoint: string): SurfaceError {
  return {
    status: 502,
    code: 'upstream_interrupted',
    message: `the answer of ${endpoint} broke off before its end`,
  };
}

function unavailable(code: string): (fault: Fault) => SurfaceError {
  return (fault) => {
    const seconds = Number(fault.details['retryAfterMs'] ?? 5 * MS) / MS;
    const { progress } = fault.details;
    return {
      status: 503,
      code,
      message: fault.message,
      ...(progress === undefined ? {} : { innererror: { progress } }),
      headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) },
    };
  };
}

function plain(status: number, code: string): (fault: Fault) => SurfaceError {
  return (fault) => {
    const { param, rule } = fault.details;
    return {
      status,
      code,
      message: fault.message,
      param: typeof param === 'string' ? param : null,
      ...(rule === undefined ? {} : { innererror: { rule } }),
    };
  };
}

const BY_CODE: Readonly<Record<string, (fault: Fault) => SurfaceError>> = {
  'identity.invalid_api_key': plain(401, 'invalid_api_key'),
  'gateway.not_found': plain(404, 'not_found'),
  'gateway.model_not_found': plain(404, 'model_not_found'),
  'gateway.deployment_not_found': plain(404, 'DeploymentNotFound'),
  'gateway.method_not_allowed': plain(405, 'method_not_allowed'),
  'gateway.invalid_request': plain(400, 'invalid_request'),
  'gateway.context_length_exceeded': plain(400, 'context_length_exceeded'),
  'gateway.unsupported_parameter': plain(400, 'unsupported_parameter'),
  'gateway.unsupported_encoding': plain(415, 'unsupported_encoding'),
  'gateway.request_too_large': plain(413, 'request_too_large'),
  'gateway.misdirected': plain(421, 'misdirected_request'),
  'gateway.model_unavailable': unavailable('model_unavailable'),
  'gateway.engine_died': unavailable('model_unavailable'),
  'gateway.generation_failed': plain(502, 'provider_error'),
  'gateway.overloaded': unavailable('overloaded'),
  'gateway.no_eligible_endpoint': unavailable('no_eligible_endpoint'),
  'policy.label': plain(400, 'invalid_request'),
};

const BY_KIND: Readonly<Partial<Record<FaultKind, { status: number; code: string }>>> = {
  invalid: { status: 400, code: 'invalid_request' },
  unauthenticated: { status: 401, code: 'invalid_api_key' },
  denied: { status: 403, code: 'forbidden' },
  missing: { status: 404, code: 'not_found' },
  conflict: { status: 409, code: 'conflict' },
  exhausted: { status: 429, code: 'rate_limit_exceeded' },
  unavailable: { status: 503, code: 'unavailable' },
};

function errorType(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 429:
      return 'rate_limit_error';
    default:
      return status >= 500 ? 'server_error' : 'invalid_request_error';
  }
}
