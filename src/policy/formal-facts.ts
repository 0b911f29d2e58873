import { schemaToJson, type CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';

import { cedar, invalidPolicy, messages } from './cedar-source.ts';
import type { CedarQuestion } from './facts.ts';
import type { Literal } from './formal-mentions.ts';
import { CATEGORIES, type SiteFacts } from './types.ts';

/** One fact that Cedar is given; `id` is the entity itself. */
export interface Fact {
  readonly path: string;
  readonly type: 'String' | 'Long' | 'Bool' | 'Set' | 'id';
  readonly required: boolean;
}

/** A value of a fact; null says that it is absent, which for an optional fact means unknown. */
export type FactValue = CedarValueJson | null;

export const CONF = 'context.label.conf';
const ACCEPTS = 'resource.accepts';
const CATEGORY_SET = 'context.label.categories';
const CLASSES = [1, 2, 3];
/** So that a number may be held against a class of confidentiality. */
const AROUND_CLASSES = [0, 1, 2, 3, 4];
const MAX_SET_LITERALS = 10;

/** Every fact of the schema's question "may this prompt go there", except the site's own, which are constants. */
export function schemaFacts(schema: string): readonly Fact[] {
  const answer = cedar('schema', () => schemaToJson(schema));
  if (answer.type === 'failure') throw invalidPolicy('schema', messages(answer.errors));
  const { '': space } = answer.json;
  const infer = space?.actions['infer']?.appliesTo;
  const facts: Fact[] = [
    { path: 'principal', type: 'id', required: true },
    { path: 'resource', type: 'id', required: true },
    ...leaves('principal', space?.entityTypes['Caller']),
    ...leaves('resource', space?.entityTypes['Endpoint']),
    ...leaves('context', { shape: infer?.context }),
  ];
  return facts.filter(({ path }) => !path.startsWith('context.site.'));
}

/** True for facts of which every value is tried: truth values and classes of confidentiality. */
export function isClosedFact({ path, type }: Fact): boolean {
  return type === 'Bool' || path === CONF || path === ACCEPTS;
}

/**
 * Values that stand for all others as far as comparisons with `literals` can tell; null when there are too many.
 * Any further text is as unlike every literal as the one that is made up here.
 */
export function classesOf(fact: Fact, literals: ReadonlySet<Literal>): readonly FactValue[] | null {
  const absent = fact.required ? [] : [null];
  if (fact.path === CONF || fact.path === ACCEPTS) return CLASSES;
  const texts = [...literals].filter((literal) => typeof literal === 'string');
  switch (fact.type) {
    case 'Bool':
      return [true, false, ...absent];
    case 'Long': {
      const numbers = [...literals].filter((literal) => typeof literal === 'number');
      const near = numbers.flatMap((number) => [number - 1, number, number + 1]);
      return [...new Set([...AROUND_CLASSES, ...near]), ...absent];
    }
    case 'Set':
      return subsets(fact.path === CATEGORY_SET ? categoriesBeside(texts) : [...texts, unlike(texts)]);
    case 'String':
    case 'id':
      return [...new Set([...texts, unlike(texts)]), ...absent];
  }
}

/** The question that Cedar is asked when facts have these values and all others are unremarkable. */
export function questionOf(
  facts: readonly Fact[],
  values: ReadonlyMap<string, FactValue>,
  site: SiteFacts,
): CedarQuestion {
  const valueOf = (fact: Fact): FactValue => values.get(fact.path) ?? (fact.required ? plain(fact) : null);
  const under = (prefix: string): Record<string, CedarValueJson> => {
    const found: Record<string, CedarValueJson> = {};
    for (const fact of facts) {
      const name = fact.path.startsWith(prefix) ? fact.path.slice(prefix.length) : '.';
      const value = name.includes('.') ? null : valueOf(fact);
      if (value !== null) found[name] = value;
    }
    return found;
  };
  const principal = { type: 'Caller', id: idOf(values.get('principal')) };
  const resource = { type: 'Endpoint', id: idOf(values.get('resource')) };
  return {
    principal,
    action: { type: 'Action', id: 'infer' },
    resource,
    context: {
      ...under('context.'),
      label: under('context.label.'),
      site: { jurisdiction: site.jurisdiction, posture: site.posture },
    },
    entities: [
      { uid: principal, attrs: under('principal.'), parents: [] },
      { uid: resource, attrs: under('resource.'), parents: [] },
    ],
  };
}

function idOf(value: FactValue | undefined): string {
  return typeof value === 'string' ? value : 'any';
}

function plain({ path, type }: Fact): CedarValueJson {
  if (path === CONF || path === ACCEPTS) return 1;
  const values = { String: '', id: '', Long: 0, Bool: false, Set: [] };
  return values[type];
}

function leaves(prefix: string, holder: unknown): Fact[] {
  const attributes = member(member(holder, 'shape'), 'attributes');
  if (typeof attributes !== 'object' || attributes === null) return [];
  return Object.entries(attributes).flatMap(([name, type]) => {
    const path = `${prefix}.${name}`;
    const kind = member(type, 'type') === 'EntityOrCommon' ? member(type, 'name') : member(type, 'type');
    if (kind === 'Record') return leaves(path, { shape: type });
    const required = member(type, 'required') !== false;
    if (kind === 'String' || kind === 'Long' || kind === 'Bool' || kind === 'Set')
      return [{ path, type: kind, required }];
    throw invalidPolicy('schema', `${path} has a type that the formal check does not know`);
  });
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

// Labels hold known categories only; one that no policy names stands for all of those.
function categoriesBeside(named: readonly string[]): readonly string[] {
  const other = CATEGORIES.find((category) => !named.includes(category));
  const known = CATEGORIES.filter((category) => named.includes(category));
  return other === undefined ? known : [...known, other];
}

function unlike(texts: readonly string[]): string {
  let text = '~';
  while (texts.includes(text)) text += '~';
  return text;
}

function subsets(members: readonly string[]): readonly string[][] | null {
  if (members.length > MAX_SET_LITERALS) return null;
  return Array.from({ length: 2 ** members.length }, (_, chosen) =>
    members.filter((_member, index) => (chosen & (2 ** index)) !== 0),
  );
}
