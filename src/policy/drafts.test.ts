import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';

import { AT, ask, SIGNER, SIGNERS } from '../../test/support/policy.ts';
import { firstBundle } from './adopt.ts';
import { buildBundle } from './bundle.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from './drafts.ts';
import { createPolicyEngine } from './engine.ts';
import { runPolicyTests } from './policy-tests.ts';
import { parseYaml } from './strict-parse.ts';

const GOV_JP = fileURLToPath(new URL('../../examples/gov-jp/governance/', import.meta.url));
const TWO_PROVIDERS = fileURLToPath(new URL('../../examples/two-providers/governance/', import.meta.url));

async function drafts(context: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sekisho-drafts-'));
  context.after(() => rm(folder, { recursive: true }));
  await cp(EXAMPLE_GOVERNANCE, folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

async function refuses(context: TestContext, files: Record<string, string>, problem: RegExp): Promise<void> {
  const folder = await drafts(context, files);
  const load = async (): Promise<unknown> => firstBundle(await loadDrafts(folder), SIGNER, AT);
  await assert.rejects(load, (fault: Error) => {
    assert.match(fault.message, problem);
    return 'kind' in fault && fault.kind === 'invalid';
  });
}

const site = (extra: string): string => `name: a.example\njurisdiction: JP\nposture: private\n${extra}\n`;

test('the built-in example serves chat and embed from this machine at floor c2', async () => {
  const engine = createPolicyEngine(firstBundle(await loadDrafts(EXAMPLE_GOVERNANCE), SIGNER, AT));
  assert.equal(engine.bundle.site.name, 'localhost/demo');
  assert.deepEqual(
    engine.models.map(({ name }) => name),
    ['chat', 'embed'],
  );
  for (const model of ['chat', 'embed']) {
    const answer = engine.label(model, null);
    assert.deepEqual(answer?.label, { conf: 2, categories: [] });
    const [decision] = engine.plan(ask({ model })).decisions;
    assert.equal(decision?.effect, 'allow');
    assert.equal(decision.to?.selfDeclared, true);
  }
});

test('the two providers: c1 to both, c2 only domestic, and its own tests hold', async () => {
  const engine = createPolicyEngine(firstBundle(await loadDrafts(TWO_PROVIDERS), SIGNER, AT));
  const effects = (conf: 1 | 2): string[] =>
    engine
      .plan(ask({ label: { conf, categories: [] } }))
      .decisions.map(({ endpoint, effect }) => `${endpoint} ${effect}`);
  assert.deepEqual(effects(1), ['foreign/chat-model allow', 'domestic/chat-model allow']);
  assert.deepEqual(effects(2), ['foreign/chat-model deny', 'domestic/chat-model allow']);
  const results = runPolicyTests(engine, AT);
  assert.equal(results.length, 4);
  assert.deepEqual(
    results.filter(({ problems }) => problems.length > 0),
    [],
  );
});

test('the example under gov-jp loads, and its tests try the approval rules both ways', async () => {
  const loaded = await loadDrafts(GOV_JP);
  const engine = createPolicyEngine(firstBundle(loaded, SIGNER, AT));
  const results = runPolicyTests(engine, AT);
  assert.deepEqual(
    results.flatMap(({ problems }) => problems),
    [],
  );
  const denied = new Set(loaded.tests.flatMap(({ deny }) => Object.values(deny).flat()));
  for (const rule of ['gov-jp/approval-missing', 'gov-jp/click-through-approval', 'approval-required'])
    assert.ok(denied.has(rule), rule);
  const unapproved = loaded.tests.map((test) => ({ ...test, approved: false }));
  const without = buildBundle({ ...loaded, tests: unapproved }, { version: 1, signers: SIGNERS });
  const failed = runPolicyTests(createPolicyEngine(without), AT).filter(
    ({ problems }) => problems.length > 0,
  );
  assert.equal(failed.length, loaded.tests.filter(({ approved }) => approved === true).length);
});

test('a policy test that does not hold says what was found', async (context) => {
  const wrong =
    '- {name: wrong, model: chat, label: c3, deny: {local/smollm2-135m-instruct: [x]}}\n- {name: low, model: chat, label: c1}';
  const folder = await drafts(context, { 'tests/t.yaml': wrong });
  const loaded = await loadDrafts(folder);
  assert.throws(() => firstBundle(loaded, SIGNER, AT), { code: 'policy.tests' });
  const engine = createPolicyEngine(buildBundle(loaded, { version: 1, signers: SIGNERS }));
  assert.deepEqual(
    runPolicyTests(engine, AT).map(({ problems }) => problems),
    [
      ['local/smollm2-135m-instruct: expected deny, found allow by default/within-accepts'],
      ['the label asks for less than the floor'],
    ],
  );
});

test('reads labels, prices, unknown facts and dates as a person writes them', async (context) => {
  const provider = `
id: far
kind: openai
url: https://ai.example/v1
secret: far-key
models:
  Org/Model-1: {accepts: c2, upstream: model-one, price: {in: 0.15, out: 60}}
  plain: {}
residency: {operator: Far, inference: JP, storage: unknown, posture: public, issued: 2026-11-01, expires: 2027-03-31T00:00:00+09:00}
network: {hosts: [ai.example], addresses: [203.0.113.0/24], issuer: sha256:${'a'.repeat(64)}}
`;
  const folder = await drafts(context, {
    'providers/far.yaml': provider,
    'site.yaml': site('label: c2,personal'),
  });
  const { site: facts, providers } = await loadDrafts(folder);
  assert.deepEqual(facts.label, { conf: 2, categories: ['personal'] });
  const far = providers.find(({ id }) => id === 'far');
  assert.deepEqual(far?.models['Org/Model-1'], {
    accepts: 2,
    upstream: 'model-one',
    price: { in: 150_000, out: 60_000_000 },
  });
  assert.deepEqual(far.models['plain'], { accepts: 1, upstream: 'plain', price: null });
  assert.deepEqual(
    [far.residency?.inference, far.residency?.storage, far.residency?.support],
    ['JP', null, null],
  );
  assert.equal(far.residency?.expires, Date.parse('2027-03-31T00:00:00+09:00'));
  assert.equal(far.residency?.selfDeclared, false);
});

/** A provider beyond this machine with these rules of its body, as flow YAML. */
const bodied = (body: string, retentionDays = 30): string => `
id: far
kind: openai
url: https://ai.example/v1
models: {m: {accepts: c2}}
body: ${body}
residency: {operator: Far, retentionDays: ${retentionDays}, posture: public, issued: 2026-11-01, expires: 2027-03-31}
network: {hosts: [ai.example], addresses: [203.0.113.0/24], issuer: sha256:${'a'.repeat(64)}}
`;

test('what the rules of a body do not say is not allowed, and without rules nothing is', async (context) => {
  const folder = await drafts(context, {
    'providers/far.yaml': bodied('{caches: true, tools: [web_search]}'),
  });
  const { endpoints } = createPolicyEngine(firstBundle(await loadDrafts(folder), SIGNER, AT));
  const rules = (id: string): unknown => endpoints.find((endpoint) => endpoint.id === id)?.body;
  const said = { caches: true, tools: ['web_search'] };
  const unsaid = { store: false, metadata: false, files: false, urls: [] };
  assert.deepEqual(rules('far/m'), { ...unsaid, ...said });
  assert.deepEqual(rules('local/smollm2-135m-instruct'), { ...unsaid, caches: false, tools: [] });
});

test('rules of a body that are malformed, contradict the record or bind nobody are refused', async (context) => {
  const wrong = async (body: string, problem: RegExp, days?: number): Promise<void> =>
    refuses(context, { 'providers/far.yaml': bodied(body, days) }, problem);
  await wrong('{stores: true}', /body: unknown key "stores", did you mean "store"/);
  await wrong('{urls: ["https://media.example"]}', /body\.urls\.0: expected a host name/);
  await wrong('{urls: ["*.example"]}', /body\.urls\.0/);
  await wrong('{tools: [web search]}', /body\.tools\.0: expected a kind of tool/);
  for (const rule of ['store', 'caches', 'files'])
    await wrong(`{${rule}: true}`, new RegExp(`body\\.${rule}: residency\\.retentionDays says`), 0);
  const own = 'id: local\nkind: llama\nmodels: {m: {}}\nbody: {store: true}';
  await refuses(
    context,
    { 'providers/local.yaml': own },
    /body: a llama provider is this machine and has none/,
  );
});

test('an unknown key is named with its path and the nearest known one', async (context) => {
  await refuses(
    context,
    { 'site.yaml': site('postur: x') },
    /site\.yaml: unknown key "postur", did you mean "posture"\?/,
  );
  await refuses(
    context,
    { 'providers/local.yaml': 'id: local\nkind: llama\nmodels: {m: {acepts: c1}}' },
    /local\.yaml: models\.m: unknown key "acepts", did you mean "accepts"/,
  );
  await refuses(
    context,
    { 'models.yaml': 'chat: {form: []}' },
    /chat: unknown key "form", did you mean "from"/,
  );
  await refuses(context, { 'site.yaml': site('zzzzzzzz: 1') }, /unknown key "zzzzzzzz"(?!.*did you mean)/);
});

test('a misspelt folder, file or pack is refused, not passed over', async (context) => {
  await refuses(context, { 'policy/x.cedar': '' }, /unknown entry "policy", did you mean "policies"/);
  await refuses(context, { 'providers/x.yml': '' }, /"x\.yml" is not read here/);
  await refuses(context, { 'policies/x.txt': '' }, /"x\.txt" is not read here/);
  await refuses(
    context,
    { 'site.yaml': site('packs: [defualt]') },
    /no pack "defualt", did you mean "default"/,
  );
  await refuses(context, { 'site.yaml': site('packs: [".."]') }, /packs\.0/);
  await assert.rejects(loadDrafts(join(tmpdir(), 'sekisho-not-there')), { code: 'policy.draft' });
});

test('malformed values are refused with file and path', async (context) => {
  await refuses(context, { 'site.yaml': site('label: c5') }, /site\.yaml: label: malformed label/);
  await refuses(
    context,
    { 'site.yaml': 'name: https://a\njurisdiction: Japan\nposture: open' },
    /name:.*jurisdiction:.*posture:/,
  );
  await refuses(context, { 'models.yaml': 'chat: {from: [{endpoint: nope/m}]}' }, /no endpoint "nope\/m"/);
  await refuses(context, { 'models.yaml': 'chat: {from: [{endpoint: a, weight: 0}]}' }, /weight/);
  await refuses(context, { 'models.yaml': '"../x y": {from: []}' }, /models\.yaml/);
  await refuses(context, { 'models.yaml': '__proto__: {from: [{endpoint: a}]}' }, /models\.yaml/);
  await refuses(context, { 'providers/p.yaml': 'id: p\nkind: openai\nmodels: {m: {}}' }, /providers\.p: url/);
  await refuses(context, { 'tests/t.yaml': '- {name: t, model: nope}' }, /no model "nope"/);
});

test('policies are called by their @id, or their file when it holds one', async (context) => {
  const permit = 'permit(principal, action, resource);';
  const folder = await drafts(context, {
    'policies/one.cedar': permit,
    'policies/two.cedar': `@id("a") ${permit} // note\n@id("b") ${permit}`,
  });
  assert.deepEqual(Object.keys((await loadDrafts(folder)).policies).sort(), ['a', 'b', 'one']);
  await refuses(context, { 'policies/two.cedar': `${permit} ${permit}` }, /needs an @id/);
  await refuses(
    context,
    { 'policies/a.cedar': permit, 'policies/b.cedar': `@id("a") ${permit}` },
    /also in another file/,
  );
  await refuses(context, { 'policies/x.cedar': `@id("policy-error") ${permit}` }, /reserved/);
  await refuses(context, { 'policies/x.cedar': `@id("A/b") ${permit}` }, /not a policy id/);
  await refuses(
    context,
    { 'policies/x.cedar': 'permit(principal == ?principal, action, resource);' },
    /templates/,
  );
  await refuses(context, { 'policies/x.cedar': 'forbid(principal' }, /policy x\.cedar/);
  await refuses(
    context,
    { 'policies/x.cedar': `permit(principal, action, resource) when { ${'('.repeat(500)} };` },
    /nested too deeply/,
  );
});

test('hostile YAML is refused in bounded time', async (context) => {
  const bomb = `a: &a [x, x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*${i === 0 ? 'a' : `b${i - 1}`}, *a]`).join('\n')}`;
  for (const text of [
    bomb,
    'a: 1\na: 2',
    'a: !!js/function x',
    '['.repeat(50_000),
    '\t- a',
    'a: *nowhere',
    'x'.repeat(300_000),
  ])
    assert.throws(
      () => parseYaml(text, 'f.yaml'),
      { kind: 'invalid', code: 'policy.draft' },
      text.slice(0, 20),
    );
  await refuses(context, { 'site.yaml': '' }, /site\.yaml/);
  await refuses(context, { 'site.yaml': `#${'x'.repeat(300_000)}` }, /at most/);
});
