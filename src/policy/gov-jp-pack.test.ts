import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import {
  AT,
  ask,
  decided,
  domesticRecord,
  sampleDrafts,
  SIGNERS,
  type Variation,
} from '../../test/support/policy.ts';
import { buildBundle } from './bundle.ts';
import { loadPack } from './drafts.ts';
import { createPolicyEngine } from './engine.ts';
import type { DecisionInput, EndpointDecision, PolicyEngine, ResidencyRecord } from './types.ts';

const GOV_JP = await loadPack('gov-jp');
const ISMAP = { document: 'ISMAP', digest: `sha256:${'a'.repeat(64)}`, expires: AT + 1 };
/** What the pack lets c2 go to; one changed fact is the cause of a denial. */
const LISTED: Partial<ResidencyRecord> = { evidence: [ISMAP] };
const OWN: Partial<ResidencyRecord> = { contract: 'own', posture: 'private', certifications: [] };
const C1: Partial<DecisionInput> = { label: { conf: 1, categories: [] } };
const C3: Partial<DecisionInput> = { label: { conf: 3, categories: [] } };

/** As a request comes that named a listed purpose and has an approval for it that holds. */
const APPROVED: Partial<DecisionInput> = { purpose: 'minutes', approved: true };

function engine(record: Partial<ResidencyRecord>, change: Variation = {}): PolicyEngine {
  const drafts = sampleDrafts({ ...change, record: { ...LISTED, ...record }, purposes: ['minutes'] });
  const packs = { ...drafts.packs, 'gov-jp': { policies: GOV_JP } };
  const site = { ...drafts.site, packs: ['default', 'gov-jp'] };
  return createPolicyEngine(buildBundle({ ...drafts, site, packs }, { version: 1, signers: SIGNERS }));
}

function decide(
  record: Partial<ResidencyRecord>,
  input: Partial<DecisionInput> = {},
  change: Variation = {},
): EndpointDecision {
  return decided(engine(record, change), ask({ ...APPROVED, ...input }));
}

function denials(...given: Parameters<typeof decide>): readonly string[] {
  const decision = decide(...given);
  return decision.effect === 'allow' ? [] : decision.rules;
}

const acceptsC3 = { provider: { models: { m: { accepts: 3, upstream: 'm', price: null } } } } as const;

test('lets c2 go to a listed domestic service under a negotiated contract, for an approved purpose', () => {
  assert.deepEqual(denials({}), []);
});

test('lets c3 go to the own environment that keeps nothing', () => {
  assert.deepEqual(denials(OWN, C3, acceptsC3), []);
});

test('click-through: class 2 only under a negotiated contract or in the own environment; class 1 may go', () => {
  for (const contract of ['click-through', null] as const) {
    assert.deepEqual(denials({ contract }), ['gov-jp/click-through']);
    assert.deepEqual(denials({ contract }, C1), []);
  }
  assert.deepEqual(denials({ contract: 'own' }), []);
});

test('click-through: a record that was signed before the fact existed counts as unknown', () => {
  const { contract: _, ...before } = domesticRecord;
  const drafts = sampleDrafts({ purposes: ['minutes'] });
  const [provider] = drafts.providers;
  assert.ok(provider !== undefined);
  const bundle = buildBundle(
    {
      ...drafts,
      site: { ...drafts.site, packs: ['default', 'gov-jp'] },
      packs: { ...drafts.packs, 'gov-jp': { policies: GOV_JP } },
      providers: [{ ...provider, residency: { ...before, evidence: [ISMAP] } }],
    },
    { version: 1, signers: SIGNERS },
  );
  const decision = decided(createPolicyEngine(bundle), ask(APPROVED));
  assert.deepEqual(decision.rules, ['gov-jp/click-through']);
});

test('purpose-missing: class 2 needs a listed purpose, class 1 none; one that is not listed is denied', () => {
  assert.deepEqual(denials({}, { purpose: null }), ['gov-jp/purpose-missing']);
  assert.deepEqual(denials({}, { purpose: null, ...C1 }), []);
  assert.deepEqual(denials({}, { purpose: 'other' }), ['default-deny']);
});

test('approval-missing: class 2 goes outside for an approved purpose only; the own environment needs none', () => {
  const input = { approved: false };
  assert.deepEqual(denials({}, input), ['gov-jp/approval-missing']);
  assert.deepEqual(decided(engine({}), ask({ purpose: 'minutes' })).rules, ['gov-jp/approval-missing']);
  assert.deepEqual(denials({}, { ...input, ...C1 }), []);
  assert.deepEqual(denials({ contract: 'own' }, input), []);
  assert.deepEqual(denials({ contract: null }, { approved: false }), [
    'gov-jp/approval-missing',
    'gov-jp/click-through',
  ]);
});

test('click-through-approval: a click-through service is used for an approved purpose only, class 1 too', () => {
  const asked = { ...C1, approved: false };
  assert.deepEqual(denials({ contract: 'click-through' }, asked), ['gov-jp/click-through-approval']);
  assert.deepEqual(denials({ contract: 'click-through' }, C1), []);
  for (const contract of ['negotiated', 'own', null] as const)
    assert.deepEqual(denials({ contract }, asked), []);
});

test('operator-law and key-custody: class 2 only within reach of domestic law; class 1 may go', () => {
  for (const country of ['US', null]) {
    assert.deepEqual(denials({ operatorNationality: country }), ['gov-jp/operator-law']);
    assert.deepEqual(denials({ keyCustody: country }), ['gov-jp/key-custody']);
    assert.deepEqual(denials({ operatorNationality: country, keyCustody: country }, C1), []);
  }
});

test('ismap-missing: class 2 only to a listed service or the own environment', () => {
  assert.deepEqual(denials({ certifications: ['ISO27001'] }), ['gov-jp/ismap-missing']);
  assert.deepEqual(denials({ certifications: [], contract: 'own' }), []);
  assert.deepEqual(denials({ certifications: [] }, C1), []);
});

test('ismap-evidence: a listing counts while its evidence holds, to the millisecond', () => {
  assert.deepEqual(denials({ evidence: [] }), ['gov-jp/ismap-evidence']);
  assert.deepEqual(denials({ evidence: [{ ...ISMAP, document: 'ISO27001' }] }), ['gov-jp/ismap-evidence']);
  assert.deepEqual(denials({ evidence: [{ ...ISMAP, expires: AT }] }), ['gov-jp/ismap-evidence']);
  assert.deepEqual(denials({ evidence: [{ ...ISMAP, expires: AT }] }, C1), []);
});

test('ismap-evidence: a decision made before the evidence expired is not remembered beyond it', () => {
  const asked = engine({});
  const input = ask(APPROVED);
  assert.equal(decided(asked, input).effect, 'allow');
  assert.equal(decided(asked, input).validUntil, ISMAP.expires);
  assert.deepEqual(decided(asked, { ...input, now: ISMAP.expires }).rules, ['gov-jp/ismap-evidence']);
});

test('retention: class 2 only where content is known to be gone within 30 days', () => {
  assert.deepEqual(denials({ retentionDays: 30 }), []);
  for (const retentionDays of [31, null]) {
    assert.deepEqual(denials({ retentionDays }), ['gov-jp/retention']);
    assert.deepEqual(denials({ retentionDays }, C1), []);
  }
});

test('class3-retention: class 3 only where nothing is kept', () => {
  assert.deepEqual(denials({ ...OWN, retentionDays: 1 }, C3, acceptsC3), ['gov-jp/class3-retention']);
  assert.deepEqual(denials({ ...OWN, retentionDays: 1 }), []);
});

test('class3-outside: class 3 stays in an environment of the own that is not a public one', () => {
  assert.deepEqual(denials({}, C3, acceptsC3), ['gov-jp/class3-outside']);
  assert.deepEqual(denials({ ...OWN, posture: 'public' }, C3, acceptsC3), ['gov-jp/class3-outside']);
  assert.deepEqual(denials({ ...OWN, posture: 'disconnected' }, C3, acceptsC3), []);
});

test('every reason says in both languages what was denied and what would allow it', () => {
  const nothing = { contract: null, operatorNationality: null, keyCustody: null, retentionDays: null };
  const { reasons } = decide({ ...nothing, certifications: [] }, { purpose: null, approved: false });
  const own = reasons.filter(({ policy }) => policy.startsWith('gov-jp/'));
  assert.equal(own.length, 7);
  for (const { ja, en } of own) {
    assert.match(ja, /機密性|要機密情報/);
    assert.match(ja, /ください|使えます|まで/);
    assert.match(en, /class [12]|above c1/i);
    assert.match(en, /choose|name one|once|with a|agree/i);
  }
});

test('without the default pack nothing is allowed, for the pack holds no permit', () => {
  const drafts = sampleDrafts({ record: LISTED, purposes: ['minutes'] });
  const packs = { 'gov-jp': { policies: GOV_JP } };
  const bundle = buildBundle(
    { ...drafts, site: { ...drafts.site, packs: ['gov-jp'] }, packs },
    { version: 1, signers: SIGNERS },
  );
  const input = ask(APPROVED);
  assert.deepEqual(decided(createPolicyEngine(bundle), input).rules, ['default-deny']);
});

test('the table of the pack names every rule and no other', async () => {
  const table = await readFile(new URL('../../docs/packs/gov-jp.md', import.meta.url), 'utf8');
  const named = [...table.matchAll(/^\| `gov-jp\/([a-z0-9-]+)`/gm)].map(([, id]) => id ?? '');
  assert.deepEqual(named.toSorted(), Object.keys(GOV_JP).toSorted());
});
