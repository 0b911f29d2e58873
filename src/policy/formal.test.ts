import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { sampleDrafts, SIGNERS } from '../../test/support/policy.ts';
import { buildBundle } from './bundle.ts';
import { loadPack } from './drafts.ts';
import { schemaFacts } from './formal-facts.ts';
import { search } from './formal-search.ts';
import { checkFormally, type FormalReport } from './formal.ts';
import type { Bundle } from './types.ts';
import { vocabulary } from './vocabulary.ts';

const DEFAULT = await loadPack('default');
const GOV_JP = await loadPack('gov-jp');
const PERMIT_ALL = 'permit(principal, action, resource);';

interface Given {
  readonly packs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly policies?: Readonly<Record<string, string>>;
  readonly jurisdiction?: string;
  readonly posture?: 'public' | 'private' | 'disconnected';
}

function bundleOf({ packs, policies = {}, ...site }: Given): Bundle {
  const drafts = sampleDrafts({ policies });
  const held = Object.fromEntries(Object.entries(packs).map(([name, rules]) => [name, { policies: rules }]));
  const given = { ...drafts, packs: held, site: { ...drafts.site, ...site, packs: Object.keys(packs) } };
  return buildBundle(given, { version: 1, signers: SIGNERS });
}

const check = (given: Given): FormalReport => checkFormally(bundleOf(given));
const reasons = (report: FormalReport): string[] => [
  ...new Set(report.violations.map(({ because }) => because)),
];

function forbid(when: string): string {
  return `@reason_ja("x") @reason_en("x") forbid(principal, action, resource) when { ${when} };`;
}

const PACKS: readonly Given['packs'][] = [{ default: DEFAULT }, { default: DEFAULT, 'gov-jp': GOV_JP }];

for (const packs of PACKS)
  for (const jurisdiction of ['JP', 'US'])
    for (const posture of ['public', 'private', 'disconnected'] as const)
      test(`${Object.keys(packs).join(' and ')} in ${jurisdiction}, ${posture}: no combination sends c2 abroad`, (context: TestContext) => {
        for (const policies of [{}, { all: PERMIT_ALL }]) {
          const report = check({ packs, policies, jurisdiction, posture });
          assert.equal(report.result, 'holds');
          assert.deepEqual(report.assumed, []);
          assert.ok(report.combinations > 100_000n);
          const asked = `${report.combinations} combinations by ${report.evaluations} questions to Cedar`;
          context.diagnostic(asked);
        }
      });

const GUARDS: Readonly<Record<string, string>> = {
  'inference-abroad': 'resource.inference',
  'storage-abroad': 'resource.storage',
  'logs-abroad': 'resource.logs',
  'support-abroad': 'resource.support',
  'record-expired': 'resource.current',
};

for (const [rule, because] of Object.entries(GUARDS))
  test(`without ${rule} the check finds ${because}, and what would be sent`, () => {
    const { [rule]: taken, ...policies } = DEFAULT;
    assert.ok(taken !== undefined);
    const report = check({ packs: { default: policies } });
    assert.equal(report.result, 'violated');
    assert.deepEqual(reasons(report), [because]);
    const [violation] = report.violations;
    assert.equal(violation?.permit, 'default/within-accepts');
    assert.ok(Number(violation?.facts['context.label.conf']) > 1);
  });

const WEAKENED: readonly (readonly [string, string])[] = [
  ['only for class 2', 'context.label.conf == 2'],
  ['not for one purpose', 'context.label.conf > 1 && !(context has purpose && context.purpose == "trial")'],
  ['not for one caller', 'context.label.conf > 1 && principal != Caller::"key-7"'],
  ['not for one role', 'context.label.conf > 1 && !principal.roles.contains("vip")'],
  ['not for one endpoint', 'context.label.conf > 1 && resource != Endpoint::"far/m"'],
  [
    'not above 90 days',
    'context.label.conf > 1 && !(resource has retentionDays && resource.retentionDays > 90)',
  ],
  ['not for one category', 'context.label.conf > 1 && !context.label.categories.contains("source-code")'],
  ['not for one certificate', 'context.label.conf > 1 && !resource.certifications.containsAll(["A", "B"])'],
  ['not with one evidence only', 'context.label.conf > 1 && resource.evidence != ["A"]'],
];

for (const [name, when] of WEAKENED)
  test(`a rule that holds ${name} is caught`, () => {
    const { 'inference-abroad': _, ...policies } = DEFAULT;
    const home = 'resource has inference && resource.inference == context.site.jurisdiction';
    const weak = forbid(`${when} && !(${home})`);
    assert.deepEqual(reasons(check({ packs: { default: policies }, policies: { weak } })), [
      'resource.inference',
    ]);
    const whole = forbid(`context.label.conf > 1 && !(${home})`);
    assert.equal(check({ packs: { default: policies }, policies: { whole } }).result, 'holds');
  });

test('two rules that cover the classes between them hold, each alone does not', () => {
  const { 'logs-abroad': _, ...policies } = DEFAULT;
  const abroad = '!(resource has logs && resource.logs == context.site.jurisdiction)';
  const own = forbid(`context.label.conf > 1 && resource.ownMachine && ${abroad}`);
  const others = forbid(`context.label.conf > 1 && !resource.ownMachine && ${abroad}`);
  const packs = { default: policies };
  assert.equal(check({ packs, policies: { own, others } }).result, 'holds');
  assert.deepEqual(reasons(check({ packs, policies: { own } })), ['resource.logs']);
});

test('what the method cannot decide never makes the answer kinder', () => {
  const { 'inference-abroad': _, ...policies } = DEFAULT;
  const beyond = [
    'context.label.conf > 1 && resource has inference && resource has storage && resource.inference != resource.storage',
    'context.label.conf > 1 && resource.provider like "far*"',
    'context.label.conf > 1 && resource in Endpoint::"all"',
  ];
  for (const when of beyond) {
    const report = check({ packs: { default: policies }, policies: { beyond: forbid(when) } });
    assert.equal(report.result, 'violated', when);
    assert.deepEqual(
      report.assumed.map(({ policy }) => policy),
      ['beyond'],
    );
  }
  const kept = check({
    packs: { default: DEFAULT },
    policies: { beyond: 'permit(principal, action, resource) when { resource.provider like "x*" };' },
  });
  assert.equal(kept.result, 'holds');
  assert.deepEqual(
    kept.assumed.map(({ policy }) => policy),
    ['beyond'],
  );
});

test('gov-jp alone holds as long as nothing permits, and is no rule about places', () => {
  assert.equal(check({ packs: { 'gov-jp': GOV_JP } }).result, 'holds');
  const permissive = check({ packs: { 'gov-jp': GOV_JP }, policies: { all: PERMIT_ALL } });
  assert.deepEqual(reasons(permissive).length, 5);
});

test('every fact of the schema is known to the check', () => {
  const paths = schemaFacts(vocabulary()).map(({ path }) => path);
  for (const path of [
    'resource.contract',
    'context.label.conf',
    'context.purpose',
    'context.approved',
    'principal.roles',
  ])
    assert.ok(paths.includes(path), path);
  assert.throws(
    () =>
      schemaFacts(
        'entity Caller; entity Endpoint = { x: decimal }; action infer appliesTo { principal: Caller, resource: Endpoint };',
      ),
    /does not know/,
  );
});

test('the search agrees with trying every choice, on random tables', () => {
  let state = 7;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let found = 0;
  for (let round = 0; round < 300; round++) {
    const sizes = Array.from({ length: 5 }, () => 1 + next(3));
    const tables = Array.from({ length: 6 }, (_, index) => {
      const variables = [...sizes.keys()].filter(() => next(2) === 0);
      const cells = variables.reduce((product, variable) => product * (sizes[variable] ?? 1), 1);
      return {
        name: String(index),
        variables,
        passes: Uint8Array.from({ length: cells }, () => (next(4) > 0 ? 1 : 0)),
      };
    });
    const all = tryAll(sizes);
    const good = all.some((values) =>
      tables.every(({ variables, passes }) => passes[cell(variables, sizes, values)] === 1),
    );
    const answer = search(sizes, tables);
    assert.equal(answer.found, good ? 'values' : 'nothing');
    if (good) found += 1;
  }
  assert.ok(found > 30 && found < 270, `${found} of 300 is one-sided`);
});

function cell(variables: readonly number[], sizes: readonly number[], values: readonly number[]): number {
  return variables.reduce((sum, variable) => sum * (sizes[variable] ?? 1) + (values[variable] ?? 0), 0);
}

function tryAll(sizes: readonly number[]): number[][] {
  let all: number[][] = [[]];
  for (const size of sizes)
    all = all.flatMap((values) => Array.from({ length: size }, (_, value) => [...values, value]));
  return all;
}
