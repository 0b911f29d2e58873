import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { canonicalJson, type Json } from '../core/canonical-json.ts';
import { factsOfLeaf, readLeaf } from './leaf-facts.ts';
import { encodeLeaf, type DecisionLeaf, type OutcomeLeaf, type RoadLeaf } from './leaf.ts';

const TO = {
  selfDeclared: false,
  endpoint: 'near/m',
  country: 'JP',
  operator: '運営者 \u2028 \u{1f5ff}',
  posture: 'private',
  expires: 4_102_444_800_000,
};
const DECISION: DecisionLeaf = {
  v: 1,
  kind: 'decision',
  rid: 'r_00000000000000000000000001',
  attempt: 2,
  prev: 41,
  t: 1_800_000_000_000,
  log: 'localhost/test/0a1b2c3d',
  bundle: `sha256:${'0'.repeat(64)}`,
  action: 'infer',
  surface: 'openai',
  model: 'a "quoted" \\ud800 \n\u0001 name',
  label: { conf: 3, categories: ['personal', 'health'] },
  purpose: '業務',
  effect: 'allow',
  considered: [
    { rules: ['b', 'a'], record: 'sha256:1', endpoint: 'near/m', effect: 'allow' },
    { rules: [], record: 'sha256:2', endpoint: 'far/m', effect: 'deny' },
  ],
  to: TO,
  c: { tenant: 'dA==', in: 'aQ==', req: 'cg==', caller: 'Yw==' },
};
const OUTCOME: OutcomeLeaf = {
  v: 1,
  kind: 'outcome',
  rid: DECISION.rid,
  attempt: 1,
  of: 7,
  t: 1_800_000_000_001,
  status: 'ok',
  code: null,
  http: 200,
  observed: { spki: 'c3BraQ==', connectMs: 3 },
  in: 1024,
  out: 0,
  c: { res: 'cmVz', peer: null },
  attempts: 1,
};
const { attempts: _, ...OPEN } = OUTCOME;
const LEAVES: readonly RoadLeaf[] = [
  DECISION,
  { ...DECISION, effect: 'deny', prev: null, purpose: null, considered: [], to: null },
  { ...DECISION, c: { ...DECISION.c, req: null } },
  OUTCOME,
  { ...OPEN, http: null, observed: null, code: 'upstream', c: { res: null, peer: 'cGVlcg==' } },
];

test('the bytes of a leaf are its RFC 8785 form', () => {
  for (const leaf of LEAVES) {
    const members: { readonly [name: string]: Json } = JSON.parse(JSON.stringify(leaf));
    const canonical = canonicalJson(members);
    assert.equal(encodeLeaf(leaf).toString(), canonical);
    const names = Object.keys(members).reverse();
    const shuffled: RoadLeaf = JSON.parse(JSON.stringify(leaf, [...names, ...nestedNames(leaf)]));
    assert.equal(encodeLeaf(shuffled).toString(), canonical);
  }
});

function nestedNames(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [...nestedNames(member), name]);
}

test('what an endpoint brings beside the log’s members stays out of the leaf', () => {
  const [near, far] = DECISION.considered;
  assert.ok(near !== undefined && far !== undefined);
  const more = { ...near, reasons: ['a secret of the site'], validUntil: 5 };
  assert.deepEqual(encodeLeaf({ ...DECISION, considered: [more, far] }), encodeLeaf(DECISION));
});

test('refuses what has no canonical form', () => {
  const refused = { code: 'core.not_canonical' };
  for (const model of ['\ud800', 'a\udfffb'])
    assert.throws(() => encodeLeaf({ ...DECISION, model }), refused);
  for (const t of [0.5, Number.NaN, Infinity, 2 ** 53]) {
    assert.throws(() => encodeLeaf({ ...DECISION, t }), refused);
    assert.throws(() => encodeLeaf({ ...OUTCOME, observed: { spki: null, connectMs: t } }), refused);
    assert.throws(() => encodeLeaf({ ...DECISION, to: { ...TO, expires: t } }), refused);
  }
});

test('the log knows of a leaf what its bytes say', () => {
  for (const leaf of LEAVES) assert.deepEqual(factsOfLeaf(leaf), readLeaf(encodeLeaf(leaf)));
});

test('reads no leaf from bytes that are none', () => {
  const texts = ['', 'null', '[]', '{"kind":"decision"}', '{"kind":"decision","rid":1,"attempt":1,"t":1}'];
  for (const bytes of [...texts.map((text) => Buffer.from(text)), randomBytes(400)])
    assert.throws(() => readLeaf(bytes), { code: 'ledger.bad_leaf' });
});
