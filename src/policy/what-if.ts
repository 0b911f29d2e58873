import { replay, replayer, type DecisionFacts, type Replayed } from './replay.ts';
import type { Bundle, EndpointDecision, PolicyEngine } from './types.ts';

/** One distinct set of facts and how many decisions were made from it. */
export interface CountedFacts {
  readonly id: string;
  readonly facts: DecisionFacts;
  readonly count: number;
}

/** Decisions that another bundle would make differently, all in the same way. */
export interface ChangedDecisions {
  readonly model: string;
  readonly label: string;
  readonly purpose: string | null;
  readonly from: Replayed;
  readonly to: Replayed;
  readonly count: number;
  /** Ids of the sets of facts. */
  readonly sets: readonly string[];
}

export interface WhatIf {
  readonly decisions: number;
  readonly changed: number;
  /** The most frequent first. */
  readonly groups: readonly ChangedDecisions[];
  /** Policies of either bundle that name a single key: facts do not hold the key, so these count as not matching. */
  readonly inexact: readonly string[];
}

/** Decides every set of facts under both bundles as of `now` (ms since 1970) and tells where they differ. */
export function whatIf(
  engines: { readonly running: PolicyEngine; readonly given: PolicyEngine },
  counted: readonly CountedFacts[],
  now: number,
): WhatIf {
  const held = new Map<string, EndpointDecision>();
  const [running, given] = [replayer(engines.running, held), replayer(engines.given, held)];
  const groups = new Map<string, ChangedDecisions>();
  let [decisions, changed] = [0, 0];
  for (const { id, facts, count } of counted) {
    decisions += count;
    const from = replay(running, facts, now);
    const to = replay(given, facts, now);
    if (from.effect === to.effect && from.endpoint === to.endpoint) continue;
    changed += count;
    const { model, label, purpose } = facts;
    const key = JSON.stringify([model, label, purpose, from, to]);
    const group = groups.get(key) ?? { model, label, purpose, from, to, count: 0, sets: [] };
    groups.set(key, { ...group, count: group.count + count, sets: [...group.sets, id] });
  }
  const both = [engines.running.bundle, engines.given.bundle].flatMap(policiesNamingCallers);
  return {
    decisions,
    changed,
    groups: [...groups.values()].sort((a, b) => b.count - a.count),
    inexact: [...new Set(both)].sort(),
  };
}

function policiesNamingCallers(bundle: Bundle): string[] {
  const packs = bundle.site.packs.flatMap((pack) =>
    Object.entries(bundle.packs[pack]?.policies ?? {}).map(([id, text]) => [`${pack}/${id}`, text] as const),
  );
  return [...Object.entries(bundle.policies), ...packs].flatMap(([id, text]) =>
    /\bCaller\s*::\s*"/.test(text) ? [id] : [],
  );
}
