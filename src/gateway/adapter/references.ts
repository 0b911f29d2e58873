import type { BodyRules } from '../../policy/types.ts';
import { refused } from './refused.ts';

/** Keywords by which a JSON schema takes in another one; programs exist that fetch it (JSON Schema core, 8.2.3). */
const REFERENCES: ReadonlySet<string> = new Set(['$ref', '$dynamicRef', '$recursiveRef']);

/** The beginning of whatever some reader of URLs takes for one with a host. */
const LEADS_AWAY = /^\s*([a-z][a-z0-9+.-]*:)?[\\/]{2}/i;

/**
 * Refuses a schema that takes in another document, unless the record lists that document's host.
 * @throws Fault `gateway.unsupported_parameter` naming the place.
 */
export function requireOwnReferences(schema: unknown, param: string, rules: BodyRules): void {
  eachMember(schema, param, ({ name, value, path }) => {
    if (!REFERENCES.has(name) || typeof value !== 'string' || value.startsWith('#')) return;
    if (!mayFetch(value, rules)) throw refused(path, 'urls');
  });
}

/**
 * Refuses the description of a tool of the provider's that leads to a host which the record does not list.
 * @throws Fault `gateway.unsupported_parameter` naming the place.
 */
export function requireListedHosts(tool: unknown, param: string, rules: BodyRules): void {
  eachMember(tool, param, ({ value, path }) => {
    if (typeof value !== 'string' || !LEADS_AWAY.test(value)) return;
    if (!mayFetch(value, rules)) throw refused(path, 'urls');
  });
}

/** True for an https URL in its one plain writing, to a host that the record lists, without user and port. */
export function mayFetch(text: string, { urls }: BodyRules): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  // Readers of URLs disagree on odd writings, so the one that all of them read alike is asked for.
  const plain = url.href === text || url.href === `${text}/`;
  const bare = url.username === '' && url.password === '' && url.port === '';
  return plain && bare && url.protocol === 'https:' && urls.includes(url.hostname);
}

interface Member {
  readonly name: string;
  readonly value: unknown;
  readonly path: string;
}

// The depth of a body was bounded before it was parsed.
function eachMember(value: unknown, path: string, look: (member: Member) => void): void {
  if (typeof value !== 'object' || value === null) return;
  const listed = Array.isArray(value);
  for (const [name, member] of Object.entries(value)) {
    const at = listed ? `${path}[${name}]` : `${path}.${name}`;
    look({ name, value: member, path: at });
    eachMember(member, at, look);
  }
}
