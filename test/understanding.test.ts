import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { explainReply, whatIfReply } from '../src/server/decisions/contract.ts';
import { parseAny, unsignedText } from '../src/server/signed-bundle.ts';
import { buildBundle } from '../src/policy/bundle.ts';
import type { Bundle } from '../src/policy/types.ts';
import { runCli, type Ran } from './support/cli.ts';
import { loopbackProvider } from './support/governance.ts';
import { startProvider } from './support/provider.ts';
import { chat, chatBody } from './support/road.ts';
import { startSite, type Reply, type Site } from './support/site.ts';
import { ROOT } from './support/source.ts';

const CANARY = 'CNRY-4b1d-kanariya';

const held = new AsyncDisposableStack();
let site: Site;
let folder: string;
/** A key of another organisation with the roles of each who may ask. */
const keys = new Map<string, string>();
let mine: string;

before(async () => {
  const provider = held.use(await startProvider());
  folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-understanding-'));
  held.defer(() => rmSync(folder, { recursive: true, force: true }));
  site = await startSite({
    governance: {
      site: { label: 'c1', purposes: ['research'] },
      providers: [
        loopbackProvider({ id: 'home', url: provider.url, models: { m: 'c2' } }),
        loopbackProvider({ id: 'abroad', url: provider.url, models: { m: 'c2' }, country: 'US' }),
      ],
      models: { chat: { from: [{ endpoint: 'home/m' }, { endpoint: 'abroad/m' }].map(weighted) } },
    },
  });
  held.defer(async () => void (await site.stop()));
  const org = await made('/api/v1/orgs', { name: 'other' });
  for (const role of ['caller', 'operator', 'policy-signer', 'auditor', 'admin', 'owner'])
    keys.set(
      role,
      (await made('/api/v1/keys', { name: role, roles: [role], tenant: org['id'] }))['key'] ?? '',
    );
  mine = await decided('hello', {});
  await decided('hello', { 'sekisho-label': 'c2' });
  await decided(CANARY, { 'sekisho-label': 'c3,personal' });
  await decided(CANARY, { 'sekisho-purpose': CANARY });
  await decided('hello', { 'sekisho-purpose': 'research' });
});

after(async () => held.disposeAsync());

function weighted({ endpoint }: { endpoint: string }): { endpoint: string; weight: number } {
  return { endpoint, weight: 1 };
}

async function made(at: string, body: object): Promise<Record<string, string>> {
  const reply = await site.call(at, { body: JSON.stringify(body) });
  assert.equal(reply.status, 201, reply.text);
  return JSON.parse(reply.text) as Record<string, string>;
}

async function decided(text: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const asked = await chat(site, chatBody(text), headers);
  return asked.headers.get('sekisho-receipt') ?? '';
}

function as(role: string | null): Record<string, string> {
  return role === null ? {} : { authorization: `Bearer ${keys.get(role) ?? ''}` };
}

async function running(): Promise<Bundle> {
  return parseAny((await site.call('/api/v1/policy/running')).text).bundle;
}

/** The running bundle with the home provider's inference in another country. */
async function moved(): Promise<string> {
  const bundle = await running();
  const providers = bundle.providers.map((provider) =>
    provider.id === 'home' && provider.residency !== null
      ? { ...provider, residency: { ...provider.residency, inference: 'US' } }
      : provider,
  );
  const next = { ...bundle, providers, signers: null };
  return unsignedText(buildBundle(next, { version: 2, signers: bundle.site.signers }));
}

async function askWhatIf(role: string | null, bundle: string): Promise<Reply> {
  const headers = { 'content-type': 'text/plain', ...as(role) };
  return site.call('/api/v1/policy/what-if?days=7', { method: 'POST', body: bundle, headers });
}

async function askExplain(role: string | null, query: Readonly<Record<string, string>>): Promise<Reply> {
  return site.call(`/api/v1/policy/explain?${new URLSearchParams(query).toString()}`, { headers: as(role) });
}

test('what-if says how many recorded decisions change, which, and by which rule', async () => {
  const reply = await askWhatIf(null, await moved());
  assert.equal(reply.status, 200, reply.text);
  const answer = whatIfReply.parse(JSON.parse(reply.text));
  assert.deepEqual([answer.decisions, answer.changed, answer.missed, answer.unexamined], [5, 1, 0, 0]);
  const [group] = answer.groups;
  assert.deepEqual([group?.label, group?.from.endpoint, group?.to.effect], ['c2', 'home/m', 'deny']);
  assert.ok(group?.to.rules.includes('default/inference-abroad'));
  assert.equal(group?.requests.length, 1);
  const same = await askWhatIf(null, unsignedText(await running()));
  assert.equal(whatIfReply.parse(JSON.parse(same.text)).changed, 0);
});

test('an operator or signer of another organisation sees the counts and no request, an auditor both', async () => {
  const bundle = await moved();
  for (const [role, requests] of [
    ['operator', 0],
    ['policy-signer', 0],
    ['auditor', 1],
  ] as const) {
    const reply = await askWhatIf(role, bundle);
    assert.equal(reply.status, 200, `${role}: ${reply.text}`);
    const answer = whatIfReply.parse(JSON.parse(reply.text));
    assert.deepEqual([answer.changed, answer.groups[0]?.requests.length], [1, requests], role);
  }
  for (const role of ['caller', 'admin', 'owner'])
    assert.equal((await askWhatIf(role, bundle)).status, 403, role);
});

test('a bundle that is none is refused with its reason', async () => {
  for (const [text, code] of [
    ['', 'server.body'],
    ['{}\n', 'policy.draft'],
    ['{"a": 1}\n', 'policy.bundle'],
    [(await moved()).replace('"US"', '"FR"'), 'policy.bundle'],
  ] as const) {
    const reply = await askWhatIf(null, text);
    assert.equal(reply.status, 400, reply.text);
    assert.equal((JSON.parse(reply.text) as { code: string }).code, code);
  }
});

test('explain tells a caller why and what would allow, at the endpoints of that model only', async () => {
  const reply = await askExplain('caller', { model: 'chat', label: 'c2' });
  assert.equal(reply.status, 200, reply.text);
  const answer = explainReply.parse(JSON.parse(reply.text));
  assert.deepEqual(
    answer.endpoints.map(({ endpoint, effect }) => [endpoint, effect]),
    [
      ['home/m', 'allow'],
      ['abroad/m', 'deny'],
    ],
  );
  const denied = answer.endpoints[1];
  assert.ok(denied?.reasons.every(({ ja, en }) => ja !== '' && en !== ''));
  const ways = (denied?.ways ?? []).map(({ changes }) =>
    changes.map(({ fact, to }) => `${fact}=${to}`).join('+'),
  );
  assert.deepEqual(ways, ['label=c1', 'inference=JP+storage=JP+logs=JP+support=JP']);
});

test('a caller explains with roles of its own; those who govern with any; a name that is none is refused', async () => {
  assert.equal((await askExplain('caller', { model: 'chat', roles: 'caller' })).status, 200);
  assert.equal((await askExplain('caller', { model: 'chat', roles: 'owner' })).status, 403);
  assert.equal((await askExplain('auditor', { model: 'chat', roles: 'owner,caller' })).status, 200);
  assert.equal((await askExplain('auditor', { model: 'chat', roles: 'emperor' })).status, 400);
  assert.equal((await askExplain('admin', { model: 'chat' })).status, 403);
  assert.equal((await askExplain('caller', { model: 'nothing' })).status, 404);
  assert.equal((await askExplain('caller', { model: 'chat', label: 'c9' })).status, 400);
  assert.equal((await askExplain('caller', {})).status, 400);
});

test('a recorded decision is explained to its own organisation and to an auditor, and is nothing to others', async () => {
  const own = await askExplain(null, { rid: mine });
  assert.equal(own.status, 200, own.text);
  const { recorded } = explainReply.parse(JSON.parse(own.text));
  assert.deepEqual([recorded?.rid, recorded?.effect, recorded?.endpoint], [mine, 'allow', 'home/m']);
  assert.equal((await askExplain('auditor', { rid: mine })).status, 200);
  const unknown = await askExplain('caller', { rid: 'r_00000000000000000000000000' });
  for (const role of ['caller', 'operator', 'policy-signer']) {
    const reply = await askExplain(role, { rid: mine });
    assert.deepEqual([reply.status, reply.text], [404, unknown.text], role);
  }
});

test('what was asked and what a header held is in no table', async () => {
  await askWhatIf(null, await moved());
  const files = readdirSync(site.data).filter((name) => name.startsWith('sekisho.db'));
  assert.ok(files.length > 0);
  const bytes = files.map((name) => readFileSync(path.join(site.data, name), 'latin1')).join('');
  assert.ok(bytes.includes(mine), 'the row of a request is there');
  assert.ok(!bytes.includes(CANARY));
});

test('the metrics say how many decisions were dropped', async () => {
  assert.match((await site.call('/metrics')).text, /^sekisho_decisions_dropped 0$/m);
});

async function sekisho(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return runCli(['policy', ...args], { cwd: folder, env });
}

function remote(): Record<string, string> {
  return { SEKISHO_URL: site.url, SEKISHO_KEY: site.adminKey };
}

test('sekisho policy what-if prints the sentence and the groups, or JSON', async () => {
  writeFileSync(path.join(folder, 'next.json'), await moved());
  const ran = await sekisho(['what-if', 'next.json'], remote());
  assert.equal(ran.code, 0, ran.err);
  assert.match(
    ran.out,
    /^1 of 5 would change\n {8}1 {2}chat c2: allow@home\/m \(.*\) -> deny \(.*inference-abroad.*\)\n/,
  );
  const japanese = await sekisho(['what-if', 'next.json'], { ...remote(), LANG: 'ja_JP.UTF-8' });
  assert.match(japanese.out, /^5 件中 1 件が変わる\n/);
  const json = await sekisho(['what-if', 'next.json', '--json', '--since', '1'], remote());
  assert.equal(whatIfReply.parse(JSON.parse(json.out)).changed, 1);
  assert.equal((await sekisho(['what-if'], remote())).code, 2);
  assert.equal((await sekisho(['what-if', 'next.json', '--since', '0'], remote())).code, 2);
});

test('sekisho policy explain prints why and what would allow, in either language', async () => {
  const ran = await sekisho(['explain', '--model', 'chat', '--label', 'c2'], remote());
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /home\/m: allow \(default\/within-accepts\)/);
  assert.match(ran.out, /default\/inference-abroad: This destination/);
  assert.match(ran.out, /would be allowed if:\n {6}- the data is labelled c1/);
  const japanese = await sekisho(['explain', '--rid', mine], { ...remote(), LANG: 'ja_JP.UTF-8' });
  assert.match(japanese.out, new RegExp(`^${mine} .*allow@home/m`));
  assert.equal((await sekisho(['explain'], remote())).code, 2);
  assert.equal((await sekisho(['explain', '--rid', mine, '--model', 'chat'], remote())).code, 2);
});

test('sekisho policy test needs no site, says each test, and exits 1 when one does not hold', async () => {
  const drafts = path.join(folder, 'drafts');
  cpSync(path.join(ROOT, 'examples', 'two-providers', 'governance'), drafts, { recursive: true });
  const good = await sekisho(['test', 'drafts']);
  assert.equal(good.code, 0, good.out + good.err);
  assert.match(good.out, /^ok {3}public data may go to both$/m);
  assert.match(good.out, /^\d+ held, 0 did not$/m);
  const wrong =
    '- name: planted\n  model: chat\n  label: c2\n  at: 2026-12-01\n  allow: [foreign/chat-model]\n';
  writeFileSync(path.join(drafts, 'tests', 'planted.yaml'), wrong);
  const bad = await sekisho(['test', 'drafts']);
  assert.equal(bad.code, 1);
  assert.match(bad.out, /^FAIL planted\n {5}.*foreign\/chat-model: expected allow, found deny by /m);
  const json = await sekisho(['test', 'drafts', '--json']);
  assert.equal((JSON.parse(json.out) as { failed: number }).failed, 1);
  writeFileSync(path.join(drafts, 'site.yaml'), 'name: [');
  assert.equal((await sekisho(['test', 'drafts'])).code, 1);
  mkdirSync(path.join(folder, 'empty'));
  assert.equal((await sekisho(['test', 'empty'])).code, 1);
});

test('a verb that does not exist names its neighbour', async () => {
  const ran = await sekisho(['explian']);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /did you mean explain\?/);
  assert.equal((await sekisho(['explain', '--help'])).code, 0);
});
