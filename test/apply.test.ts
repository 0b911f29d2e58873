import assert from 'node:assert/strict';
import { after as afterAll, before, test } from 'node:test';
import { emergencyBundle } from '../src/policy/emergency.ts';
import type { Bundle, Drafts } from '../src/policy/types.ts';
import { parseAny, unsignedText } from '../src/server/signed-bundle.ts';
import {
  after,
  ada,
  ben,
  cho,
  applyTo,
  codeOf,
  runningOf,
  signedBy,
  signerNamed,
  startTwoOfThree,
  TWO_OF_THREE,
  vkeyOf,
} from './support/bundles.ts';
import { allLeaves, until } from './support/observe.ts';
import { chat, chatBody } from './support/road.ts';
import type { Site } from './support/site.ts';

const stranger = signerNamed('stranger');

const held = new AsyncDisposableStack();
let site: Site;
/** What runs while the cases below are refused. */
let running: Bundle;
let versionOne: Bundle;

before(async () => {
  ({ site, running, versionOne } = held.use(await startTwoOfThree()));
});

afterAll(async () => held.disposeAsync());

const next = (): Bundle => after(running);
const good = (): string => signedBy(next(), ada, ben);

test('of two applies at once the second is judged against what the first made run', async () => {
  const other = after(running, { policies: { own: 'permit (principal, action, resource) when { false };' } });
  const [one, two] = await Promise.all([applyTo(site, good()), applyTo(site, signedBy(other, ben, cho))]);
  const statuses = [one.status, two.status].sort((a, b) => a - b);
  assert.deepEqual(statuses, [200, 409], one.text + two.text);
  assert.equal(codeOf(one.status === 409 ? one : two), 'policy.version');
  running = await runningOf(site);
  assert.equal((await chat(site, chatBody('hello'))).status, 200);
});

test('a key needs the role operator or policy-signer to bring a bundle, and no role stands for a signature', async () => {
  for (const role of ['admin', 'auditor', 'owner', 'caller']) {
    const reply = await applyTo(site, good(), { key: await keyOf(role) });
    assert.equal(reply.status, 403, role);
    assert.equal(codeOf(reply), 'identity.role_needed');
  }
  for (const role of ['operator', 'policy-signer']) {
    const key = await keyOf(role);
    assert.equal(codeOf(await applyTo(site, signedBy(next(), ada), { key })), 'policy.under_signed');
    running = await accepted(good(), key);
  }
});

test('one signer stops the site at once, every request is told so, and only the threshold lifts it', async () => {
  running = await accepted(signedBy(stop(), cho));
  const denied = await chat(site, chatBody('hello'));
  assert.equal(denied.status, 403);
  assert.match(denied.text, /"policy":"deny-all\/emergency-stop"/);
  assert.match(denied.text, /緊急停止中です/);
  assert.match(denied.text, /Emergency stop/);
  const leaf = (await leavesOf('bundle')).at(-1);
  assert.deepEqual([leaf?.['emergency'], leaf?.['signers']], [true, [`${cho.vkey.name}+${cho.vkey.id}`]]);

  assert.equal(codeOf(await applyTo(site, signedBy(stop(), ada))), 'policy.under_signed');
  assert.equal(codeOf(await applyTo(site, signedBy(after(running, lifting()), ada))), 'policy.under_signed');
  running = await accepted(signedBy(after(running, lifting()), ada, ben));
  assert.equal((await chat(site, chatBody('hello'))).status, 200);
});

test('signers are replaced by the old threshold, and then the old ones count no more', async () => {
  const by = { threshold: 1, keys: [vkeyOf(stranger)] };
  running = await accepted(signedBy(after(running, { by }), ada, cho));
  assert.equal(codeOf(await applyTo(site, good())), 'policy.signer_outside');
  running = await accepted(signedBy(after(running, { by: TWO_OF_THREE }), stranger));
  assert.equal(codeOf(await applyTo(site, signedBy(next(), stranger))), 'policy.signer_outside');
});

test('history holds every version with its signers, and an old content runs again as a new version', async () => {
  const reply = await site.call('/api/v1/policy/history');
  const { bundles } = JSON.parse(reply.text) as {
    bundles: { version: number; hash: string; previous: string | null }[];
  };
  assert.deepEqual(
    bundles.map(({ version }) => version),
    Array.from({ length: bundles.length }, (_, i) => i + 1),
  );
  for (const [i, { previous }] of bundles.entries()) assert.equal(previous, bundles[i - 1]?.hash ?? null);
  assert.equal((await site.call('/api/v1/policy/history/1')).text, unsignedText(versionOne));
  const second = await site.call('/api/v1/policy/history/2');
  assert.equal(parseAny(second.text).note.signatures.length, 1);
  assert.equal((await site.call('/api/v1/policy/history/99')).status, 404);
  const { version: _, ...content } = versionOne;
  running = await accepted(signedBy(after(running, { ...content, site: { ...content.site } }), ada, ben));
});

/** The stop, built from the bundle that runs. */
function stop(): Bundle {
  return emergencyBundle(running);
}

/** What version 1 allowed. */
function lifting(): Partial<Drafts> {
  const { site: facts, policies, packs, tests } = versionOne;
  return { site: facts, policies, packs, tests };
}

async function accepted(text: string, key?: string): Promise<Bundle> {
  const reply = await applyTo(site, text, key === undefined ? {} : { key });
  assert.equal(reply.status, 200, reply.text);
  return runningOf(site);
}

async function keyOf(role: string): Promise<string> {
  const body = JSON.stringify({ name: role, roles: [role] });
  const headers = { 'content-type': 'application/json' };
  const reply = await site.call('/api/v1/keys', { method: 'POST', body, headers });
  return (JSON.parse(reply.text) as { key: string }).key;
}

async function leafCount(): Promise<number> {
  return Number(/^sekisho_ledger_entries (\d+)$/m.exec((await site.call('/metrics')).text)?.[1]);
}

async function leavesOf(kind: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const size = await leafCount();
  let leaves = await allLeaves(site);
  await until(
    async () => (leaves = await allLeaves(site)).length >= size,
    'the checkpoint covers all leaves',
  );
  return leaves.filter((leaf) => leaf['kind'] === kind);
}
