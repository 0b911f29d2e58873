import type { BodyRules } from '../../policy/types.ts';
import { refused } from './refused.ts';

/** The parameters that a provider takes, each with what of its signed record must allow it; null: nothing must. */
export type Parameters = ReadonlyMap<string, keyof BodyRules | null>;

/** Which parameters are free, and which only a record allows. */
export function parameters(
  free: readonly string[],
  governed: Readonly<Record<string, keyof BodyRules>> = {},
): Parameters {
  return new Map([...free.map((name) => [name, null] as const), ...Object.entries(governed)]);
}

/**
 * Refuses by name what a provider is not known to take, and what its record does not allow. `store` may always say
 * that nothing is kept.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function requireKnown(
  body: Readonly<Record<string, unknown>>,
  known: Parameters,
  rules: BodyRules,
): void {
  for (const [name, value] of Object.entries(body)) {
    const rule = known.get(name);
    if (rule === undefined) throw refused(name);
    if (rule !== null && !allows(rules, rule, { name, value })) throw refused(name, rule);
  }
}

function allows(
  rules: BodyRules,
  rule: keyof BodyRules,
  { name, value }: { name: string; value: unknown },
): boolean {
  switch (rule) {
    case 'store':
      return value === false || value === null || (value === true && rules.store);
    case 'tools':
      // `web_search_options` is a tool without an entry in `tools`.
      return rules.tools.includes(name.replace(/_options$/, ''));
    case 'caches':
    case 'metadata':
    case 'files':
      return rules[rule];
    case 'urls':
      return false;
  }
}
