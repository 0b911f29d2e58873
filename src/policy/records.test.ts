import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { AT, ask, decided, sampleDrafts, SIGNERS } from '../../test/support/policy.ts';
import { DAY } from '../core/duration.ts';
import { buildBundle } from './bundle.ts';
import { providerDraft } from './draft-schema.ts';
import { loadPack } from './drafts.ts';
import { createPolicyEngine } from './engine.ts';
import { parseStrict, parseYaml } from './strict-parse.ts';
import type { Category, Label, PolicyEngine, Provider } from './types.ts';

const FOLDER = new URL('../../examples/records/', import.meta.url);
const PACKS = {
  default: { policies: await loadPack('default') },
  'gov-jp': { policies: await loadPack('gov-jp') },
};
const FILES = (await readdir(FOLDER)).filter((name) => name !== 'README.md');
const WITHIN = AT;

async function record(file: string): Promise<Provider> {
  return parseStrict(providerDraft, parseYaml(await readFile(new URL(file, FOLDER), 'utf8'), file), file);
}

/** The provider behind `chat`, its models accepting c3, so that the record's facts alone decide. */
function engineOf(provider: Provider, packs: readonly (keyof typeof PACKS)[]): PolicyEngine {
  const drafts = sampleDrafts({ purposes: ['minutes'] });
  const models = Object.fromEntries(
    Object.entries(provider.models).map(([name, facts]) => [name, { ...facts, accepts: 3 as const }]),
  );
  const from = Object.keys(models).map((name) => ({ endpoint: `${provider.id}/${name}`, weight: 1 }));
  const given = {
    ...drafts,
    site: { ...drafts.site, packs },
    packs: Object.fromEntries(packs.map((name) => [name, PACKS[name]])),
    providers: [{ ...provider, models }],
    models: { chat: { from, strategy: 'order' as const, label: null } },
  };
  return createPolicyEngine(buildBundle(given, { version: 1, signers: SIGNERS }));
}

function allows(engine: PolicyEngine, conf: Label['conf'], categories: readonly Category[] = []): boolean {
  const input = ask({ label: { conf, categories }, purpose: 'minutes', approved: true, now: WITHIN });
  return decided(engine, input).effect === 'allow';
}

const EXPECTED: Readonly<
  Record<string, { readonly classes: readonly number[]; readonly personal: boolean }>
> = {
  'sakura-ai-engine.yaml': { classes: [1], personal: false },
  'softbank.yaml': { classes: [1], personal: false },
  'azure-openai-japan-east-standard.yaml': { classes: [1], personal: true },
  'azure-openai-japan-east-datazone.yaml': { classes: [1], personal: false },
  'azure-openai-japan-east-global.yaml': { classes: [1], personal: false },
  'openai-japan.yaml': { classes: [1], personal: false },
  'vllm-own-machines.yaml': { classes: [1, 2, 3], personal: true },
};

test('every record has an expected verdict and a row of the table, and no other has', async () => {
  assert.deepEqual(FILES.toSorted(), Object.keys(EXPECTED).toSorted());
  const table = await readFile(new URL('README.md', FOLDER), 'utf8');
  for (const [file, { classes }] of Object.entries(EXPECTED)) {
    const verdict = classes.length === 1 ? 'c1' : 'c1 to c3';
    assert.ok(table.includes(`| \`${file}\` | ${verdict} | ${verdict} |`), file);
  }
});

for (const [file, { classes, personal }] of Object.entries(EXPECTED))
  for (const packs of [['default'], ['default', 'gov-jp']] as const)
    test(`${file} under ${packs.join(' and ')}: classes ${classes.join(', ')}`, async () => {
      const engine = engineOf(await record(file), packs);
      for (const conf of [1, 2, 3] as const)
        assert.equal(allows(engine, conf), classes.includes(conf), `c${conf}`);
      assert.equal(allows(engine, 1, ['personal']), personal);
    });

test('what is missing in Azure is told apart: standard lacks a place of storage, the others one of inference', async () => {
  const rules = async (sku: string): Promise<readonly string[]> =>
    decided(engineOf(await record(`azure-openai-japan-east-${sku}.yaml`), ['default'])).rules;
  const standard = await rules('standard');
  assert.ok(standard.includes('default/storage-abroad'));
  for (const rule of ['default/inference-abroad', 'default/sku-not-standard'] as const) {
    assert.ok(!standard.includes(rule));
    for (const sku of ['datazone', 'global']) assert.ok((await rules(sku)).includes(rule), sku);
  }
});

test('every record is marked unverified, names its source, is dated, and holds three months at most', async () => {
  for (const file of FILES) {
    const text = await readFile(new URL(file, FOLDER), 'utf8');
    assert.match(text, /^# UNVERIFIED \/ 未検証\. Read on 2026-11-21 /, file);
    assert.match(text, /^# source: \S/m, file);
    const { residency, models } = await record(file);
    assert.ok(residency !== null);
    assert.equal(residency.evidence.length, 0);
    assert.ok(residency.expires - residency.issued <= 92 * DAY, file);
    const own = residency.contract === 'own';
    for (const { accepts } of Object.values(models)) assert.equal(accepts, own ? 3 : 1, file);
  }
});

test('a record that has expired lets nothing above c1 go, its facts notwithstanding', async () => {
  const provider = await record('vllm-own-machines.yaml');
  const engine = engineOf(provider, ['default']);
  const expires = provider.residency?.expires ?? 0;
  const effect = (now: number): string => decided(engine, ask({ now })).effect;
  assert.equal(effect(expires - 1), 'allow');
  assert.equal(effect(expires), 'deny');
});
