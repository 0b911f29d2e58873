import { createHash } from 'node:crypto';

import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';

import { cedar, invalidPolicy, messages, parsePolicy } from './cedar-source.ts';
import {
  classesOf,
  CONF,
  isClosedFact,
  questionOf,
  schemaFacts,
  type Fact,
  type FactValue,
} from './formal-facts.ts';
import { mentionsOf, type Literal, type Mentions } from './formal-mentions.ts';
import { cellOf, search, type Table } from './formal-search.ts';
import { policiesOf } from './policy-set.ts';
import type { Bundle, SiteFacts } from './types.ts';
import { vocabulary } from './vocabulary.ts';

/** One combination of facts under which data above c1 would be let go to a place not known to be domestic. */
export interface FormalViolation {
  /** The fact that makes the place foreign or unknown, like `resource.inference`. */
  readonly because: string;
  readonly permit: string;
  /** Every fact that some policy looks at; null is absent. */
  readonly facts: Readonly<Record<string, FactValue>>;
}

export interface FormalReport {
  /** `undecided` when the search would have been too long. */
  readonly result: 'holds' | 'violated' | 'undecided';
  /** All combinations of the classes of values, for c2 and c3. */
  readonly combinations: bigint;
  /** How often Cedar was asked. */
  readonly evaluations: number;
  readonly violations: readonly FormalViolation[];
  /** Policies beyond the method: such a permit counts as always permitting, such a forbid as never forbidding. */
  readonly assumed: readonly { readonly policy: string; readonly problem: string }[];
}

const MAX_CELLS = 200_000;
const PLACES = ['inference', 'storage', 'logs', 'support'].map((name) => `resource.${name}`);
const CURRENT = 'resource.current';

interface Judged {
  readonly id: string;
  readonly permit: boolean;
  readonly text: string;
  readonly mentions: Mentions;
}

interface Space {
  readonly site: SiteFacts;
  readonly facts: readonly Fact[];
  /** The facts that some policy or the question looks at; the place of each is its variable. */
  readonly variables: readonly Fact[];
  readonly classes: readonly (readonly FactValue[])[];
  readonly sizes: readonly number[];
}

/**
 * Whether the policies of a bundle ever let c2 or above go to an endpoint that is not known, by a record that holds,
 * to compute, store, log and be supported inside the jurisdiction: for any facts that a record, a request or a caller
 * can have, and not only those of the bundle's own providers. See docs/formal-check.md.
 * @throws Fault kind `invalid` code `policy.invalid` when a policy cannot be read.
 */
export function checkFormally(bundle: Bundle): FormalReport {
  const facts = schemaFacts(vocabulary());
  const judged = judgedPolicies(bundle, facts);
  const space = spaceOf(bundle.site, facts, judged);
  const assumed: { policy: string; problem: string }[] = [];
  const tables = new Map<Judged, Table | null>();
  let evaluations = 0;
  for (const policy of judged) {
    const table = policy.mentions.problem === null ? tableOf(policy, space) : null;
    const problem = policy.mentions.problem ?? 'it looks at too many facts';
    if (table === null) assumed.push({ policy: policy.id, problem });
    evaluations += table?.passes.length ?? 0;
    tables.set(policy, table);
  }
  const found = violationsOf(judged, tables, space);
  return {
    result: found.violations.length > 0 ? 'violated' : found.complete ? 'holds' : 'undecided',
    combinations: combinationsAboveC1(space),
    evaluations,
    violations: found.violations,
    assumed,
  };
}

function judgedPolicies(bundle: Bundle, facts: readonly Fact[]): Judged[] {
  const closed = new Set(facts.filter(isClosedFact).map(({ path }) => path));
  const known = new Set(facts.map(({ path }) => path));
  return Object.entries(policiesOf(bundle)).map(([id, text]) => {
    const policy = parsePolicy(text, id);
    const mentions = mentionsOf(policy, bundle.site, (path) => closed.has(path));
    const strange = [...mentions.facts.keys()].find((path) => !known.has(path));
    const problem =
      mentions.problem ?? (strange === undefined ? null : `it looks at the whole of ${strange}`);
    return { id, permit: policy.effect === 'permit', text, mentions: { facts: mentions.facts, problem } };
  });
}

function spaceOf(site: SiteFacts, facts: readonly Fact[], judged: readonly Judged[]): Space {
  const asked = new Map<string, Set<Literal>>([
    [CONF, new Set()],
    [CURRENT, new Set()],
  ]);
  for (const place of PLACES) asked.set(place, new Set([site.jurisdiction]));
  for (const { mentions } of judged) {
    if (mentions.problem !== null) continue;
    for (const [path, literals] of mentions.facts)
      asked.set(path, new Set([...(asked.get(path) ?? []), ...literals]));
  }
  const variables = facts.filter(({ path }) => asked.has(path));
  const classes = variables.map((fact) => classesOf(fact, asked.get(fact.path) ?? new Set()) ?? []);
  return { site, facts, variables, classes, sizes: classes.map(({ length }) => length) };
}

/** The policy's answer to every combination of the facts that it looks at; null when they are too many. */
function tableOf(policy: Judged, space: Space): Table | null {
  const variables = [...space.variables.keys()].filter((variable) =>
    policy.mentions.facts.has(space.variables[variable]?.path ?? ''),
  );
  const cells = variables.reduce((product, variable) => product * (space.sizes[variable] ?? 0), 1);
  // No class at all stands for a fact with more literals than can be enumerated.
  if (cells === 0 || cells > MAX_CELLS) return null;
  const ask = asker(policy);
  const passes = new Uint8Array(cells);
  for (let cell = 0; cell < cells; cell++) {
    const answer = ask(questionOf(space.facts, valuesAt(cell, variables, space), space.site));
    passes[cell] = answer === (policy.permit ? 'satisfied' : 'not-satisfied') ? 1 : 0;
  }
  return { name: policy.id, variables, passes };
}

function valuesAt(cell: number, variables: readonly number[], space: Space): Map<string, FactValue> {
  const values = new Map<string, FactValue>();
  let rest = cell;
  for (const variable of variables.toReversed()) {
    const size = space.sizes[variable] ?? 1;
    const path = space.variables[variable]?.path;
    if (path !== undefined) values.set(path, space.classes[variable]?.[rest % size] ?? null);
    rest = Math.floor(rest / size);
  }
  return values;
}

type Answer = 'satisfied' | 'not-satisfied' | 'failed';

function asker({ id, text }: Judged): (question: ReturnType<typeof questionOf>) => Answer {
  // Cedar keeps what it has parsed under a name for the life of the process: the same content, the same name.
  const name = `formal:${createHash('sha256').update(text).digest('hex')}`;
  const parsed = cedar(id, () => preparsePolicySet(name, { staticPolicies: { policy: text } }));
  if (parsed.type === 'failure') throw invalidPolicy(id, messages(parsed.errors));
  return (question) => {
    const answer = cedar(id, () => statefulIsAuthorized({ ...question, preparsedPolicySetId: name }));
    if (answer.type === 'failure') throw invalidPolicy(id, messages(answer.errors));
    const { errors, reason } = answer.response.diagnostics;
    return errors.length > 0 ? 'failed' : reason.length > 0 ? 'satisfied' : 'not-satisfied';
  };
}

function violationsOf(
  judged: readonly Judged[],
  tables: ReadonlyMap<Judged, Table | null>,
  space: Space,
): { readonly violations: readonly FormalViolation[]; readonly complete: boolean } {
  const violations: FormalViolation[] = [];
  let complete = true;
  const forbids = judged.filter(({ permit }) => !permit).flatMap((policy) => tables.get(policy) ?? []);
  const above = only(space, CONF, (value) => Number(value) > 1);
  for (const because of [CURRENT, ...PLACES]) {
    const home = because === CURRENT ? true : space.site.jurisdiction;
    const foreign = only(space, because, (value) => value !== home);
    for (const policy of judged.filter(({ permit }) => permit)) {
      const permit = tables.get(policy);
      const asked = [
        above,
        foreign,
        ...forbids,
        ...(permit === null || permit === undefined ? [] : [permit]),
      ];
      const answer = search(space.sizes, asked);
      if (answer.found === 'too-much') complete = false;
      if (answer.found !== 'values') continue;
      const cell = cellOf([...space.variables.keys()], space.sizes, answer.values);
      const facts = Object.fromEntries(valuesAt(cell, [...space.variables.keys()], space));
      violations.push({ because, permit: policy.id, facts });
    }
  }
  return { violations, complete };
}

/** A table that lets pass the values of one fact for which `holds` is true. */
function only(space: Space, path: string, holds: (value: FactValue) => boolean): Table {
  const variable = space.variables.findIndex((fact) => fact.path === path);
  const passes = Uint8Array.from(space.classes[variable] ?? [], (value) => (holds(value) ? 1 : 0));
  return { name: path, variables: [variable], passes };
}

function combinationsAboveC1({ variables, sizes }: Space): bigint {
  return variables.reduce((product, { path }, variable) => {
    const size = path === CONF ? 2 : Math.max(1, sizes[variable] ?? 1);
    return product * BigInt(size);
  }, 1n);
}
