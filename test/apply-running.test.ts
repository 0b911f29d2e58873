import assert from 'node:assert/strict';
import { after as afterAll, before, test } from 'node:test';
import { bundleHash } from '../src/policy/bundle.ts';
import type { Bundle } from '../src/policy/types.ts';
import { after, applyTo, firstSigner, runningOf, signedBy } from './support/bundles.ts';
import { until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, oneModel, openChat, receiptOf, type Asked } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const EVERY_MS = 60;

let provider: Provider;
let site: Site;

before(async () => {
  provider = await startProvider();
  site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
});

afterAll(async () => {
  await site.stop();
  await provider.close();
});

test('what runs when a bundle is replaced ends as it began, under the hash that it was decided by', async () => {
  const { asked, old, next } = await applyDuringStream('');
  const stream = await asked;
  assert.equal(stream.status, 200);
  assert.match(stream.text, /data: \[DONE\]\n\n$/);
  assert.equal(await bundleOf(stream), bundleHash(old));
  assert.equal(await bundleOf(await chat(site, chatBody('afterwards'))), bundleHash(next));
});

test('--immediate cuts what runs, and it does not look finished', async () => {
  const { asked, next } = await applyDuringStream('?immediate=true');
  const stream = await asked;
  assert.doesNotMatch(stream.text, /\[DONE\]/);
  assert.match(stream.text, /upstream_interrupted/);
  const [leaf] = leavesOf(await receiptOf(site, stream));
  assert.equal(leaf?.outcome?.['status'], 'interrupted');
  assert.equal(await bundleOf(await chat(site, chatBody('afterwards'))), bundleHash(next));
});

test('connections that wait under the old bundle close at once', async () => {
  await chat(site, chatBody('opens a connection'));
  assert.ok(provider.open > 0);
  const running = await runningOf(site);
  const reply = await applyTo(site, signedBy(changed(running), firstSigner(site)));
  assert.equal(reply.status, 200, reply.text);
  await until(() => provider.open === 0, 'idle connections are closed', 1_000);
});

async function applyDuringStream(
  query: string,
): Promise<{ asked: Promise<Asked>; old: Bundle; next: Bundle }> {
  const old = await runningOf(site);
  const next = changed(old);
  provider.behave({ kind: 'drip', everyMs: EVERY_MS });
  const begun = await openChat(site, chatBody('a stream of several pieces', { stream: true }));
  const asked = begun.whole();
  const reply = await applyTo(site, signedBy(next, firstSigner(site)), { query });
  assert.equal(reply.status, 200, reply.text);
  return { asked, old, next };
}

async function bundleOf(asked: Asked): Promise<unknown> {
  return leavesOf(await receiptOf(site, asked))[0]?.decision['bundle'];
}

function changed(before: Bundle): Bundle {
  const name = `own-${before.version}`;
  return after(before, { policies: { [name]: 'permit (principal, action, resource) when { false };' } });
}
