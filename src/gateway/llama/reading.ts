import { Fault } from '../../core/fault.ts';
import type { Json } from '../../core/canonical-json.ts';

export type JsonObject = { readonly [name: string]: Json };

/** The object at `param` of a request. @throws Fault `gateway.invalid_request`. */
export function objectAt(value: Json | undefined, param: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    // Not null and not a list: the one remaining object of Json.
    return value as JsonObject;
  }
  throw invalid(param, 'an object');
}

/** The text at `param` of a request. @throws Fault `gateway.invalid_request`. */
export function textAt(value: Json | undefined, param: string): string {
  if (typeof value === 'string') return value;
  throw invalid(param, 'a text');
}

/** The engine cannot do what `param` asks for; `what` completes the sentence. */
export function unsupported(param: string, what = 'with this value'): Fault {
  const message = `the local engine does not support ${param} ${what}`;
  return new Fault('invalid', 'gateway.unsupported_parameter', message, { details: { param } });
}

export function invalid(param: string, expected: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', `${param} must be ${expected}`, {
    details: { param },
  });
}
