import { Fault } from './fault.ts';

/** A value that JSON can hold; numbers are safe integers where a canonical form is needed. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The RFC 8785 form of a value whose numbers are all safe integers.
 * @throws Fault `core.not_canonical` for other numbers, lone surrogates, undefined and functions.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return canonicalNumber(value);
  if (typeof value === 'string') return canonicalString(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  // Array.isArray does not narrow away readonly arrays; what is left here is a record.
  if (typeof value === 'object') return canonicalObject(value as { readonly [name: string]: Json });
  throw new Fault('internal', 'core.not_canonical', `expected a JSON value, found ${typeof value}`);
}

function canonicalNumber(value: number): string {
  if (Number.isSafeInteger(value)) return value === 0 ? '0' : String(value);
  throw new Fault('internal', 'core.not_canonical', 'expected an integer between -(2^53-1) and 2^53-1');
}

function canonicalString(value: string): string {
  if (value.isWellFormed()) return JSON.stringify(value);
  throw new Fault('internal', 'core.not_canonical', 'expected well-formed text, found a lone surrogate');
}

// RFC 8785 section 3.2.3: members sorted by UTF-16 code units, which is what the default sort compares.
function canonicalObject(value: { readonly [name: string]: Json }): string {
  const members: string[] = [];
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined)
      throw new Fault('internal', 'core.not_canonical', `member ${name} is undefined`);
    members.push(`${canonicalString(name)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}
