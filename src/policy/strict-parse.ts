import { parseDocument } from 'yaml';
import { z } from 'zod';

import { Fault } from '../core/fault.ts';

const MAX_YAML_CHARS = 256 * 1024;
const MAX_PROBLEMS = 10;

/**
 * The value of a YAML 1.2 text: no aliases, no tags, no duplicate keys, bounded size.
 * @throws Fault kind `invalid` code `policy.draft` naming `where`.
 */
export function parseYaml(text: string, where: string): unknown {
  if (text.length > MAX_YAML_CHARS)
    throw draftFault(where, [`expected at most ${MAX_YAML_CHARS} characters, found ${text.length}`]);
  try {
    const document = parseDocument(text, {
      schema: 'core',
      uniqueKeys: true,
      prettyErrors: true,
      logLevel: 'error',
    });
    const problems = [...document.errors, ...document.warnings];
    if (problems.length > 0) throw draftFault(where, [problems[0]?.message.split('\n')[0] ?? 'unreadable']);
    // An alias could multiply a small file into a huge value.
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    if (namesPrototype(value)) throw draftFault(where, ['"__proto__" is not a name']);
    return value;
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw draftFault(where, [cause instanceof Error ? cause.message : 'unreadable'], cause);
  }
}

/**
 * `value` as `schema` says; an unknown key is named together with its nearest neighbour.
 * @throws Fault kind `invalid` code `policy.draft` naming `where` and each problem with its path.
 */
export function parseStrict<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw draftFault(
    where,
    parsed.error.issues.map((issue) => describe(schema, issue)),
  );
}

/** The Fault for drafts and bundles that cannot be used. */
export function draftFault(where: string, problems: readonly string[], cause?: unknown): Fault {
  const shown = problems.slice(0, MAX_PROBLEMS);
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
  const options = { details: { where, problems: shown }, ...(cause === undefined ? {} : { cause }) };
  return new Fault('invalid', 'policy.draft', `${where}: ${shown.join('; ')}`, options);
}

/** The member of `candidates` nearest to `word` in edits, or null when none is near enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 2)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.slice(0, 64).toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

// The schema library drops this key without a word, and what a person wrote must never be passed over.
function namesPrototype(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.hasOwn(value, '__proto__') || Object.values(value).some(namesPrototype);
}

function describe(schema: z.ZodType, issue: z.core.$ZodIssue): string {
  const at = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  if (issue.code !== 'unrecognized_keys') return `${at}${issue.message.toLowerCase()}`;
  const known = keysAt(schema, issue.path);
  const named = issue.keys.map((key) => {
    const meant = nearest(key, known);
    return meant === null ? `unknown key "${key}"` : `unknown key "${key}", did you mean "${meant}"?`;
  });
  return `${at}${named.join(', ')}`;
}

function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
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
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return unwrap(schema.unwrap());
  return schema instanceof z.ZodPipe ? unwrap(schema.in) : schema;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
