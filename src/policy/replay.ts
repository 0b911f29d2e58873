import { labelToHeader, parseLabel } from './labels.ts';
import type { CallerFacts, DecisionInput, Endpoint, EndpointDecision, Label, PolicyEngine } from './types.ts';

/** A decision as it was just made, with what it was made from. */
export interface MadeDecision {
  readonly rid: string;
  /** ms since 1970. */
  readonly t: number;
  /** The hash of the bundle that decided. */
  readonly bundle: string;
  readonly model: string;
  /** The header `Sekisho-Label` as it came; the engine has read it, so it holds a label and nothing else. */
  readonly header: string | null;
  readonly label: Label;
  readonly purpose: string | null;
  /** A purpose was named that the bundle does not list; `purpose` is null then, since anybody may write anything there. */
  readonly unlisted: boolean;
  readonly approved: boolean;
  readonly caller: CallerFacts;
  /** Where it was allowed to go; null for a denial. */
  readonly endpoint: string | null;
}

/** What a decision was made from and nothing of the request's content; equal facts are decided equally. */
export interface DecisionFacts {
  readonly model: string;
  /** The label that the header asked for, null without one: another bundle may have another floor. */
  readonly asked: string | null;
  /** The label that held, as the header writes it. */
  readonly label: string;
  readonly purpose: string | null;
  readonly unlisted: boolean;
  readonly approved: boolean;
  readonly tenant: string;
  /** Sorted. */
  readonly roles: readonly string[];
}

/** What a bundle says to recorded facts. */
export interface Replayed {
  readonly effect: 'allow' | 'deny';
  /** The first that is allowed; null for a denial. */
  readonly endpoint: string | null;
  /**
   * Those that determined it, sorted: policies, or for what is refused before any of them `unknown-model`,
   * `label-downgrade`, `unknown-purpose`, `approval-required`.
   */
  readonly rules: readonly string[];
}

export function factsOf(made: MadeDecision): DecisionFacts {
  return {
    model: made.model,
    asked: made.header === null ? null : labelToHeader(parseLabel(made.header)),
    label: labelToHeader(made.label),
    purpose: made.purpose,
    unlisted: made.unlisted,
    approved: made.approved,
    tenant: made.caller.tenant,
    roles: made.caller.roles.toSorted(),
  };
}

/** A bundle as it decides recorded facts again, many at a time. */
export interface Replayer {
  readonly engine: PolicyEngine;
  /** Names everything but the request and the endpoint that a decision depends on. */
  readonly rules: string;
  /** By endpoint, whatever a decision at it depends on. */
  readonly endpoints: ReadonlyMap<string, string>;
  readonly readsTenant: boolean;
  readonly readsRoles: boolean;
  /** What was decided already, by another bundle with the same rules too. */
  readonly held: Map<string, EndpointDecision>;
}

/** Bundles that are compared share `held`, so that what they say alike is decided once. */
export function replayer(engine: PolicyEngine, held: Map<string, EndpointDecision>): Replayer {
  const { policies, packs, site, purposes } = engine.bundle;
  const texts = [policies, ...Object.values(packs).map((pack) => pack.policies)].flatMap(Object.values);
  const { jurisdiction, posture, packs: order } = site;
  return {
    engine,
    held,
    rules: JSON.stringify([policies, packs, jurisdiction, posture, order, purposes]),
    endpoints: new Map(engine.endpoints.map((endpoint) => [endpoint.id, endpointKey(endpoint)])),
    readsTenant: mention(texts, 'tenant'),
    readsRoles: mention(texts, 'roles'),
  };
}

// A backslash could spell the word in another way.
function mention(texts: readonly unknown[], word: string): boolean {
  return texts.some((text) => typeof text !== 'string' || text.includes(word) || text.includes('\\'));
}

function endpointKey({ price: _price, network: _network, ...rest }: Endpoint): string {
  return JSON.stringify(rest);
}

/** Decides recorded facts as the replayer's bundle would at `now` (ms since 1970), one `now` for all. */
export function replay(replayer: Replayer, facts: DecisionFacts, now: number): Replayed {
  const { engine } = replayer;
  const labelled = engine.label(facts.model, facts.asked);
  if (labelled === null) return refused('unknown-model');
  if (labelled.kind === 'downgrade') return refused('label-downgrade');
  const { purpose } = facts;
  if (facts.unlisted || (purpose !== null && !engine.purposeListed(purpose)))
    return refused('unknown-purpose');
  const needsApproval = purpose !== null && engine.approval(purpose) !== null;
  if (needsApproval && !facts.approved) return refused('approval-required');
  // As of a request: a bundle that asks for no approval does not look whether there is one.
  const approved = needsApproval;
  const input = {
    caller: { id: REPLAYED_CALLER, tenant: facts.tenant, roles: facts.roles },
    action: 'infer',
    model: facts.model,
    label: labelled.label,
    purpose,
    approved,
    now,
  } as const;
  const rules: string[] = [];
  for (const { endpoint } of engine.model(facts.model)?.from ?? []) {
    const decision = decideOnce(replayer, input, endpoint);
    if (decision.effect === 'allow')
      return { effect: 'allow', endpoint: decision.endpoint, rules: decision.rules };
    rules.push(...decision.rules);
  }
  return refused(...rules);
}

// An evaluation costs some hundred times what finding one again does.
function decideOnce(replayer: Replayer, input: DecisionInput, endpoint: Endpoint): EndpointDecision {
  const { engine, held, rules, endpoints } = replayer;
  const { caller, model, label, purpose, approved } = input;
  const tenant = replayer.readsTenant ? caller.tenant : null;
  const roles = replayer.readsRoles ? caller.roles : null;
  const asked = JSON.stringify([model, label, purpose, approved, tenant, roles]);
  const key = `${asked}|${endpoints.get(endpoint.id) ?? endpoint.id}|${rules}`;
  const known = held.get(key);
  if (known !== undefined) return known;
  const decision = engine.probe(input, { endpoint, site: engine.bundle.site });
  held.set(key, decision);
  return decision;
}

// Which key asked is not kept with the facts; a policy that names one is reported beside the answer.
const REPLAYED_CALLER = 'replayed';

function refused(...rules: readonly string[]): Replayed {
  return { effect: 'deny', endpoint: null, rules: [...new Set(rules)].sort() };
}
