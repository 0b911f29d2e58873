import type { Fault, FaultKind } from '../core/fault.ts';

const STATUS: Readonly<Record<FaultKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  missing: 404,
  conflict: 409,
  exhausted: 429,
  unavailable: 503,
  internal: 500,
};

/** RFC 9457 problem details of a fault; an internal one shows nothing of itself. */
export interface Problem {
  readonly type: 'about:blank';
  readonly status: number;
  readonly title: string;
  readonly code: string;
  readonly detail: string;
  readonly [member: string]: unknown;
}

export const PROBLEM_TYPE = 'application/problem+json';

export function problemOf(fault: Fault, status = STATUS[fault.kind]): Problem {
  const hidden = fault.kind === 'internal';
  return {
    ...(hidden ? {} : fault.details),
    type: 'about:blank',
    status,
    title: fault.kind,
    code: hidden ? 'server.internal' : fault.code,
    detail: hidden ? 'an unexpected error occurred' : fault.message,
  };
}
