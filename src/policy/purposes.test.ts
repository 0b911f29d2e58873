import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ask,
  decided,
  sampleBundle,
  sampleDrafts,
  sampleEngine,
  SIGNERS,
} from '../../test/support/policy.ts';
import { buildBundle, encodeBundle, parseBundle } from './bundle.ts';
import { siteDraft, testsDraft } from './draft-schema.ts';
import { createPolicyEngine } from './engine.ts';
import { runPolicyTests } from './policy-tests.ts';
import { parseStrict } from './strict-parse.ts';
import type { ListedPurpose, Purpose } from './types.ts';

const title = { ja: '診療の要約', en: 'summaries of care' };
const care: Purpose = { id: 'care', title, approval: { role: 'owner', hours: 8 } };
const REASONS = '@reason_ja("理由") @reason_en("because")';
const UNAPPROVED = `${REASONS} forbid(principal, action, resource) when { context.label.conf > 1 && !context.approved };`;

const draft = (purposes: unknown): unknown => ({
  name: 'a.example',
  jurisdiction: 'JP',
  posture: 'private',
  purposes,
});
const read = (purposes: unknown): readonly ListedPurpose[] =>
  parseStrict(siteDraft, draft(purposes), 'site.yaml').purposes;

test('a purpose is an id, or an id with a title and an approval', () => {
  const approval = { role: 'owner', hours: 8 };
  assert.deepEqual(read(['support', { id: 'care', title, approval }]), ['support', care]);
  assert.deepEqual(read([{ id: 'care', title }]), [{ id: 'care', title, approval: null }]);
  assert.deepEqual(read(undefined), []);
});

const BAD: readonly (readonly [what: string, purpose: unknown])[] = [
  ['no title', { id: 'care' }],
  ['a title in one language', { id: 'care', title: { en: 'care' } }],
  ['an approval without hours', { id: 'care', title, approval: { role: 'owner' } }],
  ['a role that no key can have', { id: 'care', title, approval: { role: 'boss', hours: 8 } }],
  ['no hour', { id: 'care', title, approval: { role: 'owner', hours: 0 } }],
  ['a part of an hour', { id: 'care', title, approval: { role: 'owner', hours: 1.5 } }],
  ['more than a year', { id: 'care', title, approval: { role: 'owner', hours: 8785 } }],
  ['an unknown member', { id: 'care', title, approvals: { role: 'owner', hours: 8 } }],
  ['an id that is none', { id: 'Care 1', title }],
];

for (const [what, purpose] of BAD)
  test(`a draft of a purpose with ${what} is refused by name`, () => {
    assert.throws(() => read([purpose]), { kind: 'invalid', code: 'policy.draft', message: /purposes/ });
  });

test('the same id twice is refused whichever way it is written', () => {
  for (const purposes of [
    ['care', care],
    [care, care],
    ['care', 'care'],
  ])
    assert.throws(() => sampleBundle({ purposes }), /purposes: "care" is there twice/);
});

test('a bundle with plain ids keeps its bytes, and both forms come back from theirs', () => {
  const plain = encodeBundle(sampleBundle({ purposes: ['support'] })).toString();
  assert.match(plain, /"purposes":\["support"\]/);
  const bytes = encodeBundle(sampleBundle({ purposes: ['support', care] }));
  assert.deepEqual(parseBundle(bytes).purposes, ['support', care]);
});

test('an engine knows which purposes need an approval', () => {
  const engine = sampleEngine({ purposes: ['support', care] });
  assert.deepEqual(
    ['support', 'care', 'other', '__proto__'].map((id) => engine.purposeListed(id)),
    [true, true, false, false],
  );
  assert.deepEqual(engine.approval('care'), { role: 'owner', hours: 8 });
  for (const none of ['support', 'other', '__proto__']) assert.equal(engine.approval(none), null);
});

test('a rule can forbid what was not approved, and the memo keeps both answers apart', () => {
  const engine = sampleEngine({ purposes: [care], policies: { unapproved: UNAPPROVED } });
  const given = { purpose: 'care' };
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(decided(engine, ask(given)).rules, ['unapproved']);
    assert.deepEqual(decided(engine, ask({ ...given, approved: false })).rules, ['unapproved']);
    assert.equal(decided(engine, ask({ ...given, approved: true })).effect, 'allow');
  }
});

test('a policy test says whether the purpose was approved, and sees what a request would', () => {
  const problems = (
    test: object,
    purposes: readonly ListedPurpose[] = [care, 'support'],
  ): readonly string[] => {
    const one = { name: 'one', model: 'chat', label: 'c2', ...test };
    const tests = parseStrict(testsDraft, [one], 'tests/a.yaml');
    const drafts = sampleDrafts({ purposes, policies: { unapproved: UNAPPROVED } });
    const bundle = buildBundle({ ...drafts, tests }, { version: 1, signers: SIGNERS });
    return runPolicyTests(createPolicyEngine(bundle), ask().now).flatMap((result) => result.problems);
  };
  const at = 'outside/m';
  assert.deepEqual(problems({ purpose: 'care', approved: true, allow: [at] }), []);
  assert.deepEqual(problems({ purpose: 'care', deny: { [at]: ['approval-required'] } }), []);
  assert.deepEqual(problems({ purpose: 'support', deny: { [at]: ['unapproved'] } }), []);
  for (const [wrong, problem] of [
    [{ purpose: 'care', allow: [at] }, /expected allow, found deny by approval-required/],
    [{ purpose: 'care', approved: true, deny: { [at]: ['unapproved'] } }, /expected deny, found allow/],
    [
      { purpose: 'care', deny: { [at]: ['unapproved'] } },
      /expected denial by unapproved, found approval-req/,
    ],
    [{ purpose: 'support', approved: true, allow: [at] }, /no approval can be given for this purpose/],
    [{ approved: true, allow: [at] }, /no approval can be given for this purpose/],
  ] as const)
    assert.match(problems(wrong).join(), problem);
});
