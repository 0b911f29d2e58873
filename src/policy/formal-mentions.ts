import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

import type { SiteFacts } from './types.ts';

/** A text, a whole number, or the id of an entity, that a policy holds a fact against. */
export type Literal = string | number;

/** What one policy looks at. */
export interface Mentions {
  /** Facts by path (`resource.inference`), each with the literals that it is compared with. */
  readonly facts: ReadonlyMap<string, ReadonlySet<Literal>>;
  /** Why the policy cannot be decided by looking at classes of values, or null. */
  readonly problem: string | null;
}

/** Facts all of whose values are tried, so that comparing them with each other needs no classes. */
export type IsClosed = (path: string) => boolean;

interface Seen {
  readonly facts: readonly string[];
  readonly literals: readonly Literal[];
}

const NOTHING: Seen = { facts: [], literals: [] };
const COMPARE = new Set(['==', '!=', '<', '<=', '>', '>=', 'contains', 'containsAll', 'containsAny']);
const CONNECT = new Set(['&&', '||', '!', 'if-then-else', 'Set', 'isEmpty']);

/** The facts that a policy's outcome can depend on; the site's own are constants of its bundle. */
export function mentionsOf(policy: PolicyJson, site: SiteFacts, isClosed: IsClosed): Mentions {
  const reader = new Reader(site, isClosed);
  reader.scope('principal', policy.principal);
  reader.scope('resource', policy.resource);
  for (const { body } of policy.conditions) reader.visit(body);
  return { facts: reader.facts, problem: reader.problem };
}

class Reader {
  readonly facts = new Map<string, Set<Literal>>();
  problem: string | null = null;
  readonly #site: SiteFacts;
  readonly #isClosed: IsClosed;

  constructor(site: SiteFacts, isClosed: IsClosed) {
    this.#site = site;
    this.#isClosed = isClosed;
  }

  scope(name: string, constraint: unknown): void {
    const { op, entity, in: within } = membersOf(constraint);
    if (op === 'All' || (op === 'is' && within === undefined)) return;
    const id = membersOf(entity)['id'];
    if (op === '==' && typeof id === 'string') this.#mention(name, [id]);
    else this.#refuse(`the scope of ${name} uses "in"`);
  }

  visit(node: unknown): Seen {
    const path = pathOf(node);
    if (path !== null) return this.#read(path);
    const [operator, body] = Object.entries(membersOf(node))[0] ?? [];
    if (operator === 'Value') return { facts: [], literals: literalsOf(body) };
    if (operator === 'has') return this.#has(membersOf(body));
    if (operator === 'is' && membersOf(body)['in'] === undefined) return NOTHING;
    if (operator !== undefined && (COMPARE.has(operator) || CONNECT.has(operator))) {
      const parts = Object.values(membersOf(body)).map((part) => this.visit(part));
      if (COMPARE.has(operator)) this.#compare(parts);
      return {
        facts: parts.flatMap(({ facts }) => facts),
        literals: parts.flatMap(({ literals }) => literals),
      };
    }
    this.#refuse(`it uses "${operator ?? '?'}"`);
    return NOTHING;
  }

  #read(path: string): Seen {
    if (path === 'context.site.jurisdiction') return { facts: [], literals: [this.#site.jurisdiction] };
    if (path === 'context.site.posture') return { facts: [], literals: [this.#site.posture] };
    this.#mention(path, []);
    return { facts: [path], literals: [] };
  }

  #has({ left, attr }: Readonly<Record<string, unknown>>): Seen {
    const base = pathOf(left);
    const path = `${base}.${Array.isArray(attr) ? attr.join('.') : String(attr)}`;
    if (base === null) this.#refuse('it asks for a member of something that is not a fact');
    else if (!path.startsWith('context.site')) this.#mention(path, []);
    return NOTHING;
  }

  // Classes of values tell what a fact is beside a literal, not beside another fact.
  #compare(parts: readonly Seen[]): void {
    const literals = parts.flatMap((part) => part.literals);
    const open = parts.map(({ facts }) => facts.filter((path) => !this.#isClosed(path)));
    if (open.filter((facts) => facts.length > 0).length > 1)
      this.#refuse(`it compares ${open.flat().join(' with ')}`);
    for (const path of parts.flatMap(({ facts }) => facts)) this.#mention(path, literals);
  }

  #mention(path: string, literals: readonly Literal[]): void {
    const known = this.facts.get(path) ?? new Set();
    for (const literal of literals) known.add(literal);
    this.facts.set(path, known);
  }

  #refuse(problem: string): void {
    this.problem ??= problem;
  }
}

/** `resource.inference` for what reads it, `resource` for the entity itself, null for anything else. */
function pathOf(node: unknown): string | null {
  const { Var: name, '.': access } = membersOf(node);
  if (typeof name === 'string') return name;
  if (access === undefined) return null;
  const { left, attr } = membersOf(access);
  const base = pathOf(left);
  return base === null ? null : `${base}.${String(attr)}`;
}

function literalsOf(value: unknown): Literal[] {
  if (typeof value === 'string' || typeof value === 'number') return [value];
  if (Array.isArray(value)) return value.flatMap(literalsOf);
  const { __entity: entity } = membersOf(value);
  return entity === undefined ? [] : literalsOf(membersOf(entity)['id']);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}
