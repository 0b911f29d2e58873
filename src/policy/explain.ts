import { changesOf, type FactChange, type Supposed } from './explain-changes.ts';
import { purposeIds } from './purposes.ts';
import type { DecisionInput, Endpoint, EndpointDecision, PolicyEngine } from './types.ts';

/** Changes which, all made together, would allow; none of them can be left out. */
export interface Way {
  /** Whether the person who asks can make them, or those who govern; `both` when neither can alone. */
  readonly scope: FactChange['scope'] | 'both';
  readonly changes: readonly Omit<FactChange, 'apply'>[];
}

/** Why one endpoint answered as it did, and what would make it allow. */
export interface ExplainedEndpoint {
  readonly decision: EndpointDecision;
  /** The fewest changes first; empty when allowed, and when no change that was tried allows. */
  readonly ways: readonly Way[];
}

/** The answer for each endpoint of a model name. */
export interface Explanation {
  readonly model: 'known' | 'unknown';
  readonly endpoints: readonly ExplainedEndpoint[];
}

export interface ExplainOptions {
  readonly engine: PolicyEngine;
  readonly input: DecisionInput;
  /** Every role that a key can hold. */
  readonly roles: readonly string[];
}

const MAX_WAYS = 8;

/**
 * Decides `input` at each endpoint of its model, and where it is denied looks for the fewest changed facts that would
 * allow it: each alone, then every two, then the largest change with everything taken out that is not needed. Every
 * answer comes from deciding with the changed facts.
 */
export function explain({ engine, input, roles }: ExplainOptions): Explanation {
  const routed = engine.model(input.model);
  if (routed === null) return { model: 'unknown', endpoints: [] };
  const { decisions } = engine.plan(input);
  const endpoints = decisions.map((decision): ExplainedEndpoint => {
    const endpoint = engine.endpoint(decision.endpoint);
    if (endpoint === null || decision.effect === 'allow') return { decision, ways: [] };
    return { decision, ways: waysAt({ engine, input, roles }, endpoint) };
  });
  return { model: 'known', endpoints };
}

type Probe = (changes: readonly FactChange[]) => boolean;

function waysAt({ engine, input, roles }: ExplainOptions, endpoint: Endpoint): Way[] {
  const start: Supposed = { input, endpoint, site: engine.bundle.site };
  const candidates = changesOf(start, { purposes: purposeIds(engine.bundle.purposes), roles });
  const allows: Probe = (changes) => {
    const { input: asked, ...supposed } = changes.reduce((facts, change) => change.apply(facts), start);
    return engine.probe(asked, supposed).effect === 'allow';
  };
  const own = candidates.filter(({ scope }) => scope === 'request');
  const governed = candidates.filter(({ scope }) => scope === 'governance');
  const ways = [...search(own, allows), ...search(governed, allows)];
  const found = ways.length > 0 ? ways : mixed(own, governed, allows);
  return found
    .toSorted((a, b) => a.length - b.length)
    .slice(0, MAX_WAYS)
    .map(wayOf);
}

// Two changes are tried only where none alone is enough, so that no way holds a change that it does not need.
function search(candidates: readonly FactChange[], allows: Probe): FactChange[][] {
  const singles = candidates.filter((change) => allows([change])).map((change) => [change]);
  if (singles.length > 0) return singles;
  const pairs: FactChange[][] = [];
  for (const [index, one] of candidates.entries())
    for (const other of candidates.slice(index + 1))
      if (one.fact !== other.fact && allows([one, other])) pairs.push([one, other]);
  return pairs.length > 0 ? pairs : reduced(candidates, allows);
}

function mixed(own: readonly FactChange[], governed: readonly FactChange[], allows: Probe): FactChange[][] {
  const pairs = own.flatMap((mine) => governed.map((theirs) => [mine, theirs]));
  const found = pairs.filter((pair) => allows(pair));
  return found.length > 0 ? found : reduced([...own, ...governed], allows);
}

/** From everything at once, whatever can be taken out again; the least natural changes stand last and go first. */
function reduced(candidates: readonly FactChange[], allows: Probe): FactChange[][] {
  const facts = new Set(candidates.map(({ fact }) => fact));
  let kept = [...facts].flatMap((fact) => candidates.find((change) => change.fact === fact) ?? []);
  if (!allows(kept)) return [];
  for (const change of kept.toReversed()) {
    const without = kept.filter((other) => other !== change);
    if (allows(without)) kept = without;
  }
  return [kept];
}

function wayOf(changes: readonly FactChange[]): Way {
  const scopes = new Set(changes.map(({ scope }) => scope));
  const [scope = 'governance'] = scopes;
  return {
    scope: scopes.size > 1 ? 'both' : scope,
    changes: changes.map(({ fact, to, scope: of, ja, en }) => ({ fact, to, scope: of, ja, en })),
  };
}
