import type { Fault } from '../core/fault.ts';
import { errorBody, JSON_TYPE, surfaceError } from '../gateway/errors.ts';
import type { Refusal } from './listen.ts';
import { problemOf, PROBLEM_TYPE } from './problem.ts';

const SURFACE_PATH = /^\/(v1|openai)(\/|$)/;

/** A fault as the readers of its path know errors: OpenAI's shape on the surfaces, problem details elsewhere. */
export function faultReply(fault: Fault, path: string): Refusal {
  const error = surfaceError(fault);
  const { allow } = fault.details;
  const headers = { ...error.headers, ...(typeof allow === 'string' ? { allow } : {}) };
  if (SURFACE_PATH.test(path)) {
    return {
      status: error.status,
      headers: { ...headers, 'content-type': JSON_TYPE },
      body: errorBody(error),
    };
  }
  const status = statusOf(fault, error.status);
  return {
    status,
    headers: { ...headers, 'content-type': PROBLEM_TYPE },
    body: Buffer.from(JSON.stringify(problemOf(fault, status))),
  };
}

// The surfaces' table also holds the statuses that a kind alone does not tell: 405, 413, 415, 421.
function statusOf(fault: Fault, surface: number): number {
  return fault.code.startsWith('gateway.') ? surface : problemOf(fault).status;
}
