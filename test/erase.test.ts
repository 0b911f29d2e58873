import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { EraseStep } from '../src/server/erasure/erasure.ts';
import { verifyReceipt } from '../src/ledger/verify/verify.ts';
import { runCli, type Ran } from './support/cli.ts';
import { bearer, keyWith, organisation, type SiteKey } from './support/keys.ts';
import { allLeaves, until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, logKey, oneModel, receiptOf, type Asked } from './support/road.ts';
import { startSite, type Reply, type Site } from './support/site.ts';

const CHILD = fileURLToPath(new URL('./support/erase-child.ts', import.meta.url));
/** Whoever asks under it leaves this text in the facts of the decision, and nowhere else in DATA. */
const LABEL = 'c3,health,source-code';

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let provider: Provider;
let site: Site;
let user: SiteKey;
let owner: SiteKey;
let stranger: SiteKey;

before(async () => {
  provider = held.use(await startProvider());
  site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  held.defer(async () => void (await site.stop()));
  user = await keyWith(site, ['caller']);
  owner = await keyWith(site, ['owner']);
  stranger = await keyWith(site, ['owner'], await organisation(site, 'else'));
});

after(async () => held.disposeAsync());

const ask = async (label = 'c2'): Promise<Asked> =>
  chat(site, chatBody('hello'), { ...bearer(user), 'sekisho-label': label });

const ridOf = ({ headers }: Asked): string => headers.get('sekisho-receipt') ?? assert.fail();

const erase = async (rid: string, by: Pick<SiteKey, 'key'>, ground = 'appi-35'): Promise<Reply> =>
  site.call('/api/v1/erasures', { body: JSON.stringify({ rid, ground }), headers: bearer(by) });

const codeOf = ({ text }: Reply): string => (JSON.parse(text) as { code: string }).code;

const receipt = async (rid: string, by: SiteKey = user): Promise<Record<string, unknown>> =>
  JSON.parse((await site.call(`/v1/receipts/${rid}?wait=10`, { headers: bearer(by) })).text) as Record<
    string,
    unknown
  >;

async function sekisho(args: readonly string[], key: string): Promise<Ran> {
  return runCli(args, { cwd: site.root, env: { SEKISHO_URL: site.url, SEKISHO_KEY: key } });
}

/** The files of DATA that hold these bytes. */
function holders(data: string, bytes: Buffer | string): string[] {
  const entries = readdirSync(data, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.join(parentPath, name));
  return files.filter((file) => readFileSync(file).includes(bytes));
}

/** The wrapped request key, as the file of request keys has it. */
function wrappedKey(data: string, rid: string): Buffer {
  const file = holders(data, rid).find((name) => path.basename(name) === 'roads') ?? assert.fail();
  const bytes = readFileSync(file);
  const slot = Math.floor(bytes.indexOf(rid) / 256) * 256;
  return bytes.subarray(slot + 12, slot + 72);
}

async function decisionsCounted(target: Site): Promise<number> {
  const bundle = await target.call('/api/v1/policy/running');
  const reply = await target.call('/api/v1/policy/what-if', { method: 'POST', body: bundle.text });
  assert.equal(reply.status, 200, reply.text);
  return (JSON.parse(reply.text) as { decisions: number }).decisions;
}

/** The one erasure leaf, once a checkpoint covers the whole log. */
async function erasuresOf(target: Site): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const metric = /^sekisho_ledger_entries (\d+)$/m.exec((await target.call('/metrics')).text);
  let leaves = await allLeaves(target);
  await until(async () => (leaves = await allLeaves(target)).length >= Number(metric?.[1]), 'a checkpoint');
  const erasures = leaves.filter(({ kind }) => kind === 'erasure');
  assert.equal(erasures.length, 1);
  return erasures;
}

test('erasing takes the key and the facts out of DATA, and leaves every proof', async () => {
  const asked = await ask(LABEL);
  const rid = ridOf(asked);
  const before = Buffer.from(JSON.stringify(await receipt(rid)));
  const counted = await decisionsCounted(site);
  const wrapped = wrappedKey(site.data, rid);
  assert.ok(holders(site.data, wrapped).length > 0 && holders(site.data, LABEL).length > 0);

  const reply = await erase(rid, owner);
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual([holders(site.data, wrapped), holders(site.data, LABEL)], [[], []]);
  const now = await receipt(rid);
  assert.deepEqual([now['erased'], now['open'], now['state']], [true, undefined, 'closed']);
  const trust = { vkeys: [await logKey(site)] };
  const bodies = { request: asked.request, response: asked.response };
  assert.equal((await verifyReceipt(before, trust, bodies)).verdict, 'valid');
  assert.equal((await verifyReceipt(Buffer.from(JSON.stringify(now)), trust)).verdict, 'valid');
  assert.equal(await decisionsCounted(site), counted - 1);
  const explained = await site.call(`/api/v1/policy/explain?rid=${rid}`);
  assert.deepEqual([explained.status, codeOf(explained)], [404, 'server.no_decision']);

  const again = await erase(rid, owner, 'contract');
  assert.deepEqual([again.status, JSON.parse(again.text)], [200, JSON.parse(reply.text)]);
  const [leaf = {}] = await erasuresOf(site);
  assert.deepEqual(Object.keys(leaf).toSorted(), ['by', 'ground', 'id', 'kind', 'log', 'rid', 't', 'v']);
  assert.deepEqual([leaf['rid'], leaf['ground'], leaf['by']], [rid, 'appi-35', owner.id]);
  for (const subject of [user.id, user.tenant]) assert.ok(!JSON.stringify(leaf).includes(subject));
  const log = readdirSync(path.join(site.data, 'ledger')).find((name) => /^[0-9a-f]{8}$/.test(name)) ?? '';
  const check = await sekisho(
    ['ledger', 'check', path.join(site.data, 'ledger', log), '--key', trust.vkeys[0] ?? ''],
    '',
  );
  assert.equal(check.code, 0, check.out + check.err);
});

test('who may not erase is refused, and an owner of another organisation learns nothing', async () => {
  const rid = ridOf(await ask());
  for (const role of ['operator', 'policy-signer', 'auditor', 'caller'] as const)
    assert.equal((await erase(rid, await keyWith(site, [role]))).status, 403, role);
  const strange = await erase(rid, stranger);
  assert.deepEqual([strange.status, codeOf(strange)], [404, 'ledger.no_receipt']);
  const none = await erase(`r_${'0'.repeat(26)}`, owner);
  assert.equal(strange.text, none.text);
  assert.equal((await receipt(rid))['erased'], undefined);
  assert.equal((await erase(rid, { key: site.adminKey })).status, 200);
});

test('a request without a known ground, or that is none, is refused', async () => {
  const rid = ridOf(await ask());
  for (const [asked, ground, status] of [
    [rid, 'because I say so', 400],
    ['../keys', 'order', 404],
  ] as const)
    assert.equal((await erase(asked, owner, ground)).status, status);
  assert.notEqual((await receipt(rid))['open'], undefined);
});

test('a request that has not ended is refused until it has', async () => {
  provider.behave({ kind: 'silence-inside' });
  const stop = new AbortController();
  const reply = await fetch(new URL('/v1/chat/completions', site.url), {
    method: 'POST',
    headers: { ...bearer(user), 'content-type': 'application/json' },
    body: chatBody('hello', { stream: true }),
    signal: stop.signal,
  });
  const rid = reply.headers.get('sekisho-receipt') ?? assert.fail();
  const early = await erase(rid, owner);
  assert.deepEqual([early.status, codeOf(early)], [409, 'ledger.road_open']);
  stop.abort();
  assert.equal((await receipt(rid))['state'], 'closed');
  assert.equal((await erase(rid, owner)).status, 200);
});

test('sekisho erase erases, and says how it is used', async () => {
  const rid = ridOf(await ask());
  const done = await sekisho(['erase', rid, '--ground', 'order'], owner.key);
  assert.deepEqual([done.code, done.out], [0, `${rid} is erased\n`], done.err);
  const json = await sekisho(['erase', rid, '--ground', 'order', '--json'], owner.key);
  assert.equal((JSON.parse(json.out) as { ground: string }).ground, 'order');
  for (const wrong of [['erase'], ['erase', rid], ['erase', rid, '--ground', 'x']])
    assert.equal((await sekisho(wrong, owner.key)).code, 2, wrong.join(' '));
  const refused = await sekisho(['erase', rid, '--ground', 'order'], user.key);
  assert.equal(refused.code, 1);
});

const STEPS: readonly EraseStep[] = ['ordered', 'recorded', 'key-overwritten', 'decision-erased'];

for (const step of STEPS)
  test(`a crash of an erasure when it is ${step} is finished by the next start`, async () => {
    await using own = await startProvider();
    const governance = oneModel([{ id: 'home', provider: own }]);
    const first = await startSite({ governance });
    const asked = await chat(first, chatBody('hello'), { 'sekisho-label': LABEL });
    const rid = ridOf(asked);
    await receiptOf(first, asked);
    const counted = await decisionsCounted(first);
    await first.stop({ keep: true });
    const wrapped = wrappedKey(first.data, rid);
    const child = spawn(
      process.execPath,
      [CHILD, path.join(first.root, 'sekisho.yaml'), first.data, rid, step],
      { env: { PATH: process.env['PATH'], HOME: first.home }, stdio: 'inherit' },
    );
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
    assert.equal(holders(first.data, wrapped).length > 0, step === 'ordered' || step === 'recorded');

    await using next = await startSite({ root: first.root, governance });
    assert.deepEqual([holders(next.data, wrapped), holders(next.data, LABEL)], [[], []]);
    const served = await next.call(`/v1/receipts/${rid}`);
    assert.match(served.text, /"erased":true/);
    assert.equal(await decisionsCounted(next), counted - 1);
    assert.equal((await erasuresOf(next))[0]?.['rid'], rid);
  });
