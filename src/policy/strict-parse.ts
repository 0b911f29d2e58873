import type { z } from 'zod';

import { Fault } from '../core/fault.ts';
import { nearest } from '../core/nearest.ts';
import { keysAt, readStrictYaml } from '../core/strict-yaml.ts';

const MAX_PROBLEMS = 10;

/**
 * The value of a YAML 1.2 text: no aliases, no tags, no duplicate keys, bounded size.
 * @throws Fault kind `invalid` code `policy.draft` naming `where`.
 */
export function parseYaml(text: string, where: string): unknown {
  const read = readStrictYaml(text);
  if ('problems' in read) throw draftFault(where, read.problems);
  return read.value;
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
