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
  /** Called after each endpoint, so that requests have their turn in between. */
  readonly pause: () => Promise<void>;
}

const MAX_WAYS = 8;

/**
 * Decides `input` at each endpoint of its model, and where it is denied looks for the fewest changed facts that would
 * allow it: each alone, then every two of those that make any difference, then the largest change with everything taken
 * out that is not needed. Every answer comes from deciding with the changed facts.
 */
export async function explain(options: ExplainOptions): Promise<Explanation> {
  const { engine, input, pause } = options;
  const routed = engine.model(input.model);
  if (routed === null) return { model: 'unknown', endpoints: [] };
  const { decisions } = engine.plan(input);
  const endpoints: ExplainedEndpoint[] = [];
  for (const decision of decisions) {
    const endpoint = decision.effect === 'allow' ? null : engine.endpoint(decision.endpoint);
    endpoints.push({ decision, ways: endpoint === null ? [] : waysAt(options, endpoint) });
    await pause();
  }
  return { model: 'known', endpoints };
}

/** The decision with these facts changed. */
type Probe = (changes: readonly FactChange[]) => EndpointDecision;

function waysAt({ engine, input, roles }: ExplainOptions, endpoint: Endpoint): Way[] {
  const start: Supposed = { input, endpoint, site: engine.bundle.site };
  const candidates = changesOf(start, { purposes: purposeIds(engine.bundle.purposes), roles });
  const probe: Probe = (changes) => {
    const { input: asked, ...supposed } = changes.reduce((facts, change) => change.apply(facts), start);
    return engine.probe(asked, supposed);
  };
  const before = probe([]).rules.join();
  const tried = candidates.map((change) => ({ change, decision: probe([change]) }));
  const scopes = (['request', 'governance'] as const).map((scope): Scope => {
    const own = tried.filter(({ change }) => change.scope === scope);
    const moving = own.filter(({ decision }) => decision.rules.join() !== before);
    return {
      all: own.map(({ change }) => change),
      moving: moving.map(({ change }) => change),
      alone: own.filter(({ decision }) => decision.effect === 'allow').map(({ change }) => [change]),
    };
  });
  const ways = scopes.flatMap((scope) => search(scope, probe));
  return (ways.length > 0 ? ways : mixed(scopes, probe))
    .toSorted((a, b) => a.length - b.length)
    .slice(0, MAX_WAYS)
    .map(wayOf);
}

interface Scope {
  readonly all: readonly FactChange[];
  /** Those after which other rules decide; a large bundle has many facts and few of these. */
  readonly moving: readonly FactChange[];
  /** Those that are enough. */
  readonly alone: FactChange[][];
}

// Two changes are tried only where none alone is enough, so that no way holds a change that it does not need.
function search({ all, moving, alone }: Scope, probe: Probe): FactChange[][] {
  if (alone.length > 0) return alone;
  const pairs = moving.flatMap((one, index) =>
    moving.slice(index + 1).flatMap((other) => (one.fact === other.fact ? [] : [[one, other]])),
  );
  const found = pairs.filter((pair) => allows(probe, pair));
  return found.length > 0 ? found : reduced(all, probe);
}

function mixed([own, governed]: readonly Scope[], probe: Probe): FactChange[][] {
  if (own === undefined || governed === undefined) return [];
  const pairs = own.moving.flatMap((mine) => governed.moving.map((theirs) => [mine, theirs]));
  const found = pairs.filter((pair) => allows(probe, pair));
  return found.length > 0 ? found : reduced([...own.all, ...governed.all], probe);
}

function allows(probe: Probe, changes: readonly FactChange[]): boolean {
  return probe(changes).effect === 'allow';
}

/** From everything at once, whatever can be taken out again; the least natural changes stand last and go first. */
function reduced(candidates: readonly FactChange[], probe: Probe): FactChange[][] {
  const facts = new Set(candidates.map(({ fact }) => fact));
  let kept = [...facts].flatMap((fact) => candidates.find((change) => change.fact === fact) ?? []);
  if (!allows(probe, kept)) return [];
  for (const change of kept.toReversed()) {
    const without = kept.filter((other) => other !== change);
    if (allows(probe, without)) kept = without;
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
