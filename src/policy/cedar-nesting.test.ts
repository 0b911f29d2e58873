import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ask, decided, sampleEngine } from '../../test/support/policy.ts';
import { MAX_NESTING, nestingOf } from './cedar-nesting.ts';
import { splitPolicies } from './cedar-source.ts';

type Shape = (n: number) => string;

const shapes: Record<string, Shape> = {
  brackets: (n) => `${'('.repeat(n)}true${')'.repeat(n)}`,
  negations: (n) => `${'!('.repeat(n)}true${')'.repeat(n)}`,
  sets: (n) => `${'['.repeat(n)}1${']'.repeat(n)} == 1`,
  records: (n) => `${'{a: '.repeat(n)}1${'}'.repeat(n)} == 1`,
  sums: (n) => `${'1 + '.repeat(n)}1 == 2`,
  differences: (n) => `${'1 - '.repeat(n)}1 == 2`,
  members: (n) => `context${'.a'.repeat(n)}`,
  indices: (n) => `context${'["a"]'.repeat(n)}`,
  calls: (n) => `context${'.contains(1)'.repeat(n)}`,
  conditionals: (n) => `${'if true then '.repeat(n)}true${' else true'.repeat(n)}`,
  alternatives: (n) => `${'if true then true else '.repeat(n)}true`,
  guarded: (n) => `${'true && (if true then '.repeat(n)}true${' else true)'.repeat(n)}`,
  mixed: (n) => `${'(1 + '.repeat(n)}1${' + 1 + 1)'.repeat(n)} == 1`,
  arguments: (n) => `${'[1].contains('.repeat(n)}1${')'.repeat(n)}`,
  wrapped: (n) => `${'(('.repeat(n)}context${').a).b'.repeat(n)}`,
};

const policy = (condition: string): string => `permit(principal, action, resource) when { ${condition} };`;

test('Cedar bears the deepest text of every shape that the bound lets through', () => {
  for (const [name, shape] of Object.entries(shapes)) {
    const depth = deepest(shape);
    assert.ok(depth >= 10, `${name}: the bound leaves only ${depth}`);
    const policies = splitPolicies(policy(shape(depth)), 'deep');
    assert.equal(policies.size, 1, name);
    try {
      sampleEngine({ policies: Object.fromEntries(policies) }).plan(ask());
    } catch (fault) {
      // Most shapes have no type; what matters is that Cedar said so and still answers afterwards.
      assert.ok(fault instanceof Error && fault.message.startsWith('policy deep'), name);
    }
    assert.equal(decided(sampleEngine()).effect, 'allow', `${name}: Cedar does not answer any more`);
  }
});

test('refuses text that would overrun the stack of Cedar, before Cedar sees it', () => {
  for (const [name, shape] of Object.entries(shapes)) {
    for (const depth of [deepest(shape) + 1, 200, 1_000])
      assert.throws(() => splitPolicies(policy(shape(depth)), 'deep'), { code: 'policy.invalid' }, name);
    assert.throws(
      () => sampleEngine({ policies: { deep: policy(shape(300)) } }),
      { code: 'policy.invalid' },
      name,
    );
  }
  assert.throws(() => splitPolicies('('.repeat(10_000), 'open'), /nested too deeply/);
  assert.equal(decided(sampleEngine()).effect, 'allow');
});

test('long rules that are flat are not nested', () => {
  const flat = Array.from({ length: 300 }, () => 'context.label.categories.contains("x")').join(' || ');
  assert.ok(nestingOf(policy(flat)) < 20);
  assert.equal(splitPolicies(policy(flat), 'flat').size, 1);
});

test('brackets in texts and notes do not count', () => {
  const brackets = '('.repeat(500);
  assert.ok(nestingOf(`// ${brackets}\n@note("${brackets} \\" ${brackets}") ${policy('true')}`) < 10);
});

function deepest(shape: Shape): number {
  let depth = 1;
  while (nestingOf(policy(shape(depth + 1))) <= MAX_NESTING) depth += 1;
  return depth;
}
