import { Fault } from '../core/fault.ts';

export const MAX_DEPTH = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A request body as a JSON object. The nesting is bounded before the parser runs, so a hostile body costs one pass.
 * @throws Fault `gateway.invalid_request`, never quoting the body.
 */
export function parseJsonObject(body: Buffer): Record<string, unknown> {
  if (body.length === 0) throw invalid('the body is empty; expected a JSON object');
  if (deeperThan(body, MAX_DEPTH)) throw invalid(`the body is nested deeper than ${MAX_DEPTH}`);
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(body));
  } catch (cause) {
    throw new Fault('invalid', 'gateway.invalid_request', 'the body is not valid JSON in UTF-8', { cause });
  }
  if (isRecord(value)) return value;
  throw invalid('the body is not a JSON object');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENERS = new Set([0x5b, 0x7b]);
const CLOSERS = new Set([0x5d, 0x7d]);

// Brackets inside strings do not nest; a body with unbalanced quotes is refused by the parser afterwards.
function deeperThan(body: Buffer, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i] ?? 0;
    if (byte === QUOTE) i = endOfString(body, i + 1);
    else if (OPENERS.has(byte)) {
      depth += 1;
      if (depth > limit) return true;
    } else if (CLOSERS.has(byte)) depth -= 1;
  }
  return false;
}

function endOfString(body: Buffer, from: number): number {
  let at = body.indexOf(QUOTE, from);
  while (at !== -1) {
    let slashes = 0;
    while (body[at - 1 - slashes] === BACKSLASH && at - 1 - slashes >= from) slashes += 1;
    if (slashes % 2 === 0) return at;
    at = body.indexOf(QUOTE, at + 1);
  }
  return body.length;
}

function invalid(message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', message);
}
