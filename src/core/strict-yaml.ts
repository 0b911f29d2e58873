import { parseDocument } from 'yaml';
import { z } from 'zod';

import { nearest } from './nearest.ts';

const MAX_CHARS = 256 * 1024;
const MAX_PROBLEMS = 10;

export type StrictResult<T> = { readonly value: T } | { readonly problems: readonly string[] };

/**
 * Reads a YAML 1.2 text of bounded size without aliases, tags and duplicate keys, as `schema` says. Problems are
 * sentences that name the path; an unknown key is named with its nearest neighbour. No problem quotes a value.
 */
export function parseStrictYaml<S extends z.ZodType>(text: string, schema: S): StrictResult<z.output<S>> {
  const read = readStrictYaml(text);
  if ('problems' in read) return read;
  const parsed = schema.safeParse(read.value ?? {});
  if (parsed.success) return { value: parsed.data };
  const problems = parsed.error.issues.flatMap((issue) => sentences(schema, issue));
  return { problems: problems.slice(0, MAX_PROBLEMS) };
}

/** The value of such a text, no schema asked. */
export function readStrictYaml(text: string): StrictResult<unknown> {
  if (text.length > MAX_CHARS) return { problems: [`expected at most ${MAX_CHARS} characters`] };
  // Without `prettyErrors` a message holds no line of the text, which may hold a secret.
  const document = parseDocument(text, {
    schema: 'core',
    uniqueKeys: true,
    logLevel: 'error',
    prettyErrors: false,
  });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    const line = text.slice(0, problem.pos[0]).split('\n').length;
    return { problems: [`line ${line}: ${problem.code.toLowerCase().replaceAll('_', ' ')}`] };
  }
  try {
    // An alias could make a small text a huge value.
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    return namesPrototype(value) ? { problems: ['__proto__ is unknown'] } : { value };
  } catch {
    return { problems: ['expected no anchors and aliases'] };
  }
}

// The schema library drops this key without a word, and what a person wrote must never be passed over.
function namesPrototype(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.hasOwn(value, '__proto__') || Object.values(value).some(namesPrototype);
}

function sentences(schema: z.ZodType, issue: z.core.$ZodIssue): string[] {
  const at = issue.path.join('.');
  if (issue.code !== 'unrecognized_keys')
    return [`${at === '' ? 'the file' : at}: ${lowerFirst(issue.message)}`];
  const known = keysAt(schema, issue.path);
  return issue.keys.map((key) => {
    const meant = nearest(key, known);
    const prefix = at === '' ? '' : `${at}.`;
    return `${prefix}${key} is unknown${meant === null ? '' : `; did you mean ${prefix}${meant}?`}`;
  });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The keys that a schema knows at a path; none where it is no object. */
export function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let here = unwrap(schema);
  for (const step of path) {
    if (here instanceof z.ZodObject) here = unwrap(Reflect.get(here.shape, step));
    else if (here instanceof z.ZodRecord) here = unwrap(here.valueType);
    else if (here instanceof z.ZodArray) here = unwrap(here.element);
    else return [];
  }
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function unwrap(schema: unknown): unknown {
  const wrapped =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault;
  if (wrapped) return unwrap(schema.unwrap());
  return schema instanceof z.ZodPipe ? unwrap(schema.in) : schema;
}
