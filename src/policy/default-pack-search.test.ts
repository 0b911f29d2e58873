import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AT, ask, domesticRecord, outside, sampleDrafts, SIGNERS } from '../../test/support/policy.ts';
import { buildBundle } from './bundle.ts';
import { createPolicyEngine } from './engine.ts';
import type { Drafts, Label, Provider, ResidencyRecord } from './types.ts';

const ROUNDS = 24;
const ENDPOINTS = 32;
const LABELS: readonly Label[] = [
  { conf: 2, categories: [] },
  { conf: 2, categories: ['personal'] },
  { conf: 3, categories: ['health', 'source-code'] },
];

test('never lets c2 or above to a place that is not known to be domestic, for thousands of random facts', () => {
  const { allowed, foreign } = explore(sampleDrafts().packs);
  assert.deepEqual(foreign, []);
  assert.ok(allowed > 100, `only ${allowed} were allowed, too few to show anything`);
});

test('the search finds the foreign destinations that a pack without its rule lets through', () => {
  const { 'inference-abroad': taken, ...policies } = sampleDrafts().packs['default']?.policies ?? {};
  assert.ok(taken !== undefined);
  assert.notDeepEqual(explore({ default: { policies } }).foreign, []);
});

function explore(packs: Drafts['packs']): { allowed: number; foreign: string[] } {
  const pick = randomPick(20_261_201);
  const foreign: string[] = [];
  let allowed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const engine = createPolicyEngine(
      buildBundle(randomDrafts(packs, pick), { version: 1, signers: SIGNERS }),
    );
    const { jurisdiction } = engine.bundle.site;
    for (const label of LABELS)
      for (const { effect, endpoint } of engine.plan(ask({ label })).decisions) {
        if (effect === 'deny') continue;
        allowed += 1;
        const record = engine.endpoint(endpoint)?.record;
        const domestic =
          record?.inference === jurisdiction && record.storage === jurisdiction && record.expires > AT;
        if (!domestic) foreign.push(JSON.stringify({ jurisdiction, label, record }));
      }
  }
  return { allowed, foreign };
}

function randomDrafts(packs: Drafts['packs'], pick: Pick): Drafts {
  const drafts = sampleDrafts({
    site: { jurisdiction: pick(['JP', 'JP', 'US']), posture: pick(['public', 'private', 'disconnected']) },
    policies: pick([true, false]) ? { all: 'permit(principal, action, resource);' } : {},
  });
  const providers = Array.from({ length: ENDPOINTS }, (_, index) => randomProvider(`p${index}`, pick));
  const from = providers.map(({ id }) => ({ endpoint: `${id}/m`, weight: 1 }));
  return { ...drafts, packs, providers, models: { chat: { from, strategy: 'order', label: null } } };
}

function randomProvider(id: string, pick: Pick): Provider {
  const loopback = {
    url: 'http://127.0.0.1:9/v1',
    network: { hosts: ['127.0.0.1'], addresses: ['127.0.0.0/8'], pins: [], issuer: null, proxy: null },
  };
  return {
    ...outside,
    ...(pick([true, false]) ? loopback : {}),
    id,
    models: { m: { accepts: pick([1, 2, 3, 3]), upstream: 'm', price: null } },
    residency: pick([0, 1, 2, 3]) === 0 ? null : randomRecord(pick),
  };
}

type Pick = <T>(from: readonly T[]) => T;

// Mostly what would be allowed, so that one fact alone is often the cause of a denial.
function randomRecord(pick: Pick): ResidencyRecord {
  const country = (): string | null => pick([...often('JP'), 'US', null]);
  return {
    ...domesticRecord,
    inference: country(),
    storage: country(),
    logs: country(),
    support: country(),
    operatorNationality: country(),
    sku: pick([...often<'standard' | 'global'>('standard'), 'global', null]),
    training: pick([...often(false), true, null]),
    abuseReview: pick([...often(false), true, null]),
    legalBasis: pick(['domestic', 'consent', null]),
    expires: pick([...often(AT + 1), AT]),
  };
}

function often<T>(value: T): T[] {
  return Array.from({ length: 10 }, () => value);
}

function randomPick(seed: number): Pick {
  let state = seed;
  return (from) => {
    // Numerical Recipes' linear congruential generator: repeatable, and good enough to choose cases.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const chosen = from[Math.floor((state / 2 ** 32) * from.length)];
    if (chosen === undefined) throw new Error('nothing to pick from');
    return chosen;
  };
}
