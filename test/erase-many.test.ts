import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { verifyReceipt } from '../src/ledger/verify/verify.ts';
import type { EraseStep } from '../src/server/erasure/erasure.ts';
import { runCli, type Ran } from './support/cli.ts';
import { bearer, keyWith, organisation, type SiteKey } from './support/keys.ts';
import { allLeaves, until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, logKey, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const CHILD = fileURLToPath(new URL('./support/erase-many-child.ts', import.meta.url));
const SLOT = 256;
/** Leave this text in the facts of a decision, and nowhere else in DATA. */
const [LABEL, OTHER_LABEL] = ['c3,health,source-code', 'c3,financial,my-number'];

interface Request {
  readonly rid: string;
  readonly held: Buffer;
  readonly wrapped: Buffer;
  readonly bodies: { readonly request: Buffer; readonly response: Buffer };
}

const held = new AsyncDisposableStack();
let provider: Provider;

before(async () => {
  provider = held.use(await startProvider());
});

after(async () => held.disposeAsync());

const governance = (): ReturnType<typeof oneModel> => oneModel([{ id: 'home', provider }]);

function files(data: string): readonly { readonly name: string; readonly bytes: Buffer }[] {
  return readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => ({ name, bytes: readFileSync(path.join(parentPath, name)) }));
}

const holders = (data: string, text: Buffer | string): string[] =>
  files(data)
    .filter(({ bytes }) => bytes.includes(text))
    .map(({ name }) => name);

/** The wrapped key in the slot that holds this text. */
function wrappedIn(data: string, file: string, text: string): Buffer {
  const { bytes } = files(data).find(({ name }) => name === file) ?? assert.fail();
  const slot = Math.floor(bytes.indexOf(text) / SLOT) * SLOT;
  return bytes.subarray(slot + 12, slot + 72);
}

async function request(site: Site, key: Pick<SiteKey, 'key'>, label: string): Promise<Request> {
  const asked = await chat(site, chatBody('hello'), { ...bearer(key), 'sekisho-label': label });
  const rid = asked.headers.get('sekisho-receipt') ?? assert.fail();
  const receipt = await site.call(`/v1/receipts/${rid}?wait=10`, { headers: bearer(key) });
  assert.match(receipt.text, /"open":/);
  const bodies = { request: asked.request, response: asked.response };
  return { rid, held: Buffer.from(receipt.text), wrapped: wrappedIn(site.data, 'roads', rid), bodies };
}

async function sekisho(site: Site, args: readonly string[], key = site.adminKey): Promise<Ran> {
  return runCli(args, { cwd: site.root, env: { SEKISHO_URL: site.url, SEKISHO_KEY: key } });
}

async function checkLog(site: Site): Promise<void> {
  const log = readdirSync(path.join(site.data, 'ledger')).find((name) => /^[0-9a-f]{8}$/.test(name)) ?? '';
  const args = ['ledger', 'check', path.join(site.data, 'ledger', log), '--key', await logKey(site)];
  const { code, out, err } = await sekisho(site, args);
  assert.equal(code, 0, out + err);
}

test('an organisation is erased: nothing in DATA opens it, everything opens the rest, and every proof stands', async () => {
  await using site = await startSite({ governance: governance() });
  const tenant = await organisation(site, 'leaving');
  const leaving = await keyWith(site, ['caller'], tenant);
  const staying = await keyWith(site, ['caller']);
  const [a, b] = [await request(site, leaving, LABEL), await request(site, leaving, LABEL)];
  const rest = await request(site, staying, OTHER_LABEL);
  const dayKey = wrappedIn(site.data, 'day-keys', tenant);
  await until(async () => holders(site.data, LABEL).length > 0, 'the facts are written');

  const scope = ['erase', '--tenant', tenant, '--ground', 'contract'];
  const dry = await sekisho(site, [...scope, '--dry-run']);
  assert.deepEqual(
    [dry.code, dry.out],
    [0, '2 would be erased; 0 that have not ended would stay\n'],
    dry.err,
  );
  assert.equal((await sekisho(site, scope)).code, 2, 'without a terminal it needs --yes');
  assert.ok(holders(site.data, a.wrapped).length > 0 && holders(site.data, dayKey).length > 0);

  const done = await sekisho(site, [...scope, '--yes', '--json']);
  assert.equal(done.code, 0, done.err);
  const result = JSON.parse(done.out) as Record<string, unknown>;
  assert.deepEqual([result['requests'], result['running'], result['dayKeys']], [2, 0, 1]);
  for (const gone of [a.wrapped, b.wrapped, dayKey, LABEL]) assert.deepEqual(holders(site.data, gone), []);
  const trust = { vkeys: [await logKey(site)] };
  for (const { rid, held: earlier, bodies } of [a, b]) {
    const now = await site.call(`/v1/receipts/${rid}`, { headers: bearer(leaving) });
    assert.match(now.text, /"erased":true/);
    assert.doesNotMatch(now.text, /"open":/);
    assert.equal((await verifyReceipt(Buffer.from(now.text), trust)).verdict, 'valid');
    assert.equal((await verifyReceipt(earlier, trust, bodies)).verdict, 'valid');
  }
  const kept = await site.call(`/v1/receipts/${rest.rid}`, { headers: bearer(staying) });
  assert.equal((await verifyReceipt(Buffer.from(kept.text), trust, rest.bodies)).verdict, 'valid');
  assert.ok(holders(site.data, OTHER_LABEL).length > 0);

  let leaf: Record<string, unknown> | undefined;
  const find = async (): Promise<boolean> =>
    (leaf = (await allLeaves(site)).find(({ kind }) => kind === 'erasure')) !== undefined;
  await until(find, 'the leaf');
  const { id, requests, first, last, before: day, ground } = leaf ?? {};
  assert.deepEqual([id, requests, day, ground], [result['id'], 2, null, 'contract']);
  assert.ok(Number(first) < Number(last) && !JSON.stringify(leaf).includes(tenant));
  const again = await sekisho(site, [...scope, '--yes']);
  assert.equal(again.out, '0 erased, with 0 day keys; 0 that have not ended stay\n');
  const fresh = await request(site, leaving, 'c2');
  assert.equal((await verifyReceipt(fresh.held, trust, fresh.bodies)).verdict, 'valid', 'a new key is drawn');
  await checkLog(site);
});

test('days before a date: today stays, what has not ended stays, and tomorrow is refused', async () => {
  await using site = await startSite({ governance: governance() });
  const asked = await request(site, { key: site.adminKey }, 'c2');
  const before = ['erase', '--ground', 'appi-22', '--yes', '--before'];
  const none = await sekisho(site, [...before, '0d']);
  assert.equal(none.out, '0 erased, with 0 day keys; 0 that have not ended stay\n', none.err);
  assert.ok(holders(site.data, asked.wrapped).length > 0);
  for (const wrong of ['2999-01-01', 'yesterday'])
    assert.equal((await sekisho(site, [...before, wrong])).code, 1, wrong);
  for (const args of [
    ['erase', '--yes'],
    ['erase', asked.rid, '--before', '1d', '--ground', 'order'],
  ])
    assert.equal((await sekisho(site, args)).code, 2);
});

const STEPS: readonly EraseStep[] = ['ordered', 'recorded', 'decision-erased', 'key-overwritten'];

for (const step of STEPS)
  test(`a crash of many erasures when they are ${step} is finished by the next start`, async () => {
    const first = await startSite({ governance: governance() });
    const key = await keyWith(first, ['caller']);
    const all = [await request(first, key, LABEL), await request(first, key, LABEL)];
    const dayKey = wrappedIn(first.data, 'day-keys', key.tenant);
    await first.stop({ keep: true });
    const child = spawn(
      process.execPath,
      [CHILD, path.join(first.root, 'sekisho.yaml'), first.data, key.tenant, step],
      { env: { PATH: process.env['PATH'], HOME: first.home }, stdio: 'inherit' },
    );
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
    assert.equal(holders(first.data, dayKey).length > 0, step !== 'key-overwritten');
    await using next = await startSite({ root: first.root, governance: governance() });
    for (const gone of [...all.map(({ wrapped }) => wrapped), dayKey, LABEL])
      assert.deepEqual(holders(next.data, gone), []);
    for (const { rid } of all) assert.match((await next.call(`/v1/receipts/${rid}`)).text, /"erased":true/);
    await checkLog(next);
  });
