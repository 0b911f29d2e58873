import { changesOf, type FactChange, type Supposed } from './explain-changes.ts';
import { purposeIds } from './purposes.ts';
import type { ApprovalRule, DecisionInput, Endpoint, EndpointDecision, PolicyEngine } from './types.ts';

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
  /** Called before each evaluation, so that requests have their turn in between. */
  readonly pause: () => Promise<void>;
}

const MAX_WAYS = 8;

/**
 * Decides `input` at each endpoint of its model, and where it is denied looks for the fewest changed facts that would
 * allow it: each alone, then every two of those that make any difference, then the largest change with everything taken
 * out that is not needed. Every answer comes from deciding with the changed facts.
 */
export async function explain(options: ExplainOptions): Promise<Explanation> {
  const { engine, input } = options;
  const routed = engine.model(input.model);
  if (routed === null) return { model: 'unknown', endpoints: [] };
  const { decisions } = engine.plan(input);
  const endpoints: ExplainedEndpoint[] = [];
  for (const decision of decisions) {
    const endpoint = decision.effect === 'allow' ? null : engine.endpoint(decision.endpoint);
    endpoints.push({ decision, ways: endpoint === null ? [] : await waysAt(options, endpoint) });
  }
  return { model: 'known', endpoints };
}

/** The decision with these facts changed. */
type Probe = (changes: readonly FactChange[]) => Promise<EndpointDecision>;

async function waysAt(options: ExplainOptions, endpoint: Endpoint): Promise<Way[]> {
  const { engine, input, roles, pause } = options;
  const start: Supposed = { input, endpoint, site: engine.bundle.site };
  const purposes = purposeIds(engine.bundle.purposes);
  const approval = (purpose: string): ApprovalRule | null => engine.approval(purpose);
  const candidates = changesOf(start, { purposes, approval, roles });
  const probe: Probe = async (changes) => {
    await pause();
    const { input: asked, ...supposed } = changes.reduce((facts, change) => change.apply(facts), start);
    return engine.probe(asked, supposed);
  };
  const [own, governed] = [
    await scopeOf('request', candidates, probe),
    await scopeOf('governance', candidates, probe),
  ];
  const ways = [...(await search(own, probe)), ...(await search(governed, probe))];
  return (ways.length > 0 ? ways : await mixed(own, governed, probe))
    .toSorted((a, b) => a.length - b.length)
    .slice(0, MAX_WAYS)
    .map(wayOf);
}

/** The changes that one side can make. */
interface Scope {
  readonly all: readonly FactChange[];
  /** Those after which other rules decide; a large bundle has many facts and few of these. */
  readonly moving: readonly FactChange[];
  /** Those that are enough. */
  readonly alone: FactChange[][];
}

async function scopeOf(
  scope: FactChange['scope'],
  candidates: readonly FactChange[],
  probe: Probe,
): Promise<Scope> {
  const before = (await probe([])).rules.join();
  const all = candidates.filter((change) => change.scope === scope);
  const moving: FactChange[] = [];
  const alone: FactChange[][] = [];
  for (const change of all) {
    const { effect, rules } = await probe([change]);
    if (rules.join() !== before) moving.push(change);
    if (effect === 'allow') alone.push([change]);
  }
  return { all, moving, alone };
}

// Two changes are tried only where none alone is enough, so that no way holds a change that it does not need.
async function search({ all, moving, alone }: Scope, probe: Probe): Promise<FactChange[][]> {
  if (alone.length > 0) return alone;
  const pairs = moving.flatMap((one, index) =>
    moving.slice(index + 1).flatMap((other) => (one.fact === other.fact ? [] : [[one, other]])),
  );
  const found = await allowing(pairs, probe);
  return found.length > 0 ? found : reduced(all, probe);
}

async function mixed(own: Scope, governed: Scope, probe: Probe): Promise<FactChange[][]> {
  const pairs = own.moving.flatMap((mine) => governed.moving.map((theirs) => [mine, theirs]));
  const found = await allowing(pairs, probe);
  return found.length > 0 ? found : reduced([...own.all, ...governed.all], probe);
}

async function allowing(ways: readonly FactChange[][], probe: Probe): Promise<FactChange[][]> {
  const found: FactChange[][] = [];
  for (const way of ways) if ((await probe(way)).effect === 'allow') found.push(way);
  return found;
}

/** From everything at once, whatever can be taken out again; the least natural changes stand last and go first. */
async function reduced(candidates: readonly FactChange[], probe: Probe): Promise<FactChange[][]> {
  const facts = new Set(candidates.map(({ fact }) => fact));
  let kept = [...facts].flatMap((fact) => candidates.find((change) => change.fact === fact) ?? []);
  if ((await probe(kept)).effect === 'deny') return [];
  for (const change of kept.toReversed()) {
    const without = kept.filter((other) => other !== change);
    if ((await probe(without)).effect === 'allow') kept = without;
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
