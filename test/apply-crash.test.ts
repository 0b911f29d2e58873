import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundleHash } from '../src/policy/bundle.ts';
import { emergencyBundle } from '../src/policy/emergency.ts';
import { after, applied, decisionsOf, firstSigner, runningOf, signedBy } from './support/bundles.ts';
import { allLeaves, until } from './support/observe.ts';
import { startProvider } from './support/provider.ts';
import { chat, chatBody, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const CHILD = fileURLToPath(new URL('./support/apply-child.ts', import.meta.url));
const OTHER_RULE = { policies: { own: 'permit (principal, action, resource) when { false };' } };

/** Before the commit the old bundle runs on, from the commit on the new one does. */
const STEPS = {
  judged: 'old',
  shut: 'old',
  committed: 'new',
  recorded: 'new',
  adopted: 'new',
  switched: 'new',
} as const;

for (const [step, runs] of Object.entries(STEPS))
  test(`a crash of an apply when it has ${step} leaves the ${runs} bundle, and the log says so`, async () => {
    await using provider = await startProvider();
    const first = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
    const old = await runningOf(first);
    const next = after(old, OTHER_RULE);
    const file = path.join(first.root, 'next.txt');
    writeFileSync(file, signedBy(next, firstSigner(first)));
    await first.stop({ keep: true });
    assert.equal(await crashAt(first, file, step), 'SIGKILL');

    await using site = await startSite({
      root: first.root,
      governance: oneModel([{ id: 'home', provider }]),
    });
    const expected = runs === 'old' ? old : next;
    assert.equal(bundleHash(await runningOf(site)), bundleHash(expected));
    assert.equal((await chat(site, chatBody('hello'))).status, 200);
    await holdsOneStory(site, expected.version);
    const onDisk = readFileSync(path.join(site.data, 'governance', 'running.json'));
    assert.equal(JSON.parse(onDisk.toString()).version, expected.version);

    const reply = await site.call('/api/v1/policy/apply', {
      method: 'POST',
      body: readFileSync(file, 'utf8'),
    });
    assert.equal(reply.status, runs === 'old' ? 200 : 409, reply.text);
    assert.equal((await runningOf(site)).version, next.version);
  });

test('an emergency stop outlives the process', async () => {
  await using provider = await startProvider();
  const governance = oneModel([{ id: 'home', provider }]);
  const first = await startSite({ governance });
  await applied(first, emergencyBundle(await runningOf(first)), firstSigner(first));
  await first.kill('SIGKILL');
  await using site = await startSite({ root: first.root, governance });
  const denied = await chat(site, chatBody('hello'));
  assert.equal(denied.status, 403);
  assert.match(denied.text, /deny-all\/emergency-stop/);
  assert.equal(provider.requests.length, 0);
});

test('a bundle that was put onto the disk by hand keeps the site from starting', async () => {
  await using provider = await startProvider();
  const governance = oneModel([{ id: 'home', provider }]);
  const first = await startSite({ governance });
  const forged = after(await runningOf(first), OTHER_RULE);
  const running = path.join(first.data, 'governance', 'running.json');
  await first.stop({ keep: true });
  const kept = readFileSync(running);
  writeFileSync(running, signedBy(forged).trimEnd());
  await assert.rejects(startSite({ root: first.root, governance }), /was never applied here/);
  writeFileSync(running, kept);
  await using site = await startSite({ root: first.root, governance });
  assert.equal((await runningOf(site)).version, 1);
  rmSync(first.root, { recursive: true, force: true });
});

/** Each version has one leaf, they rise, and each decision was made by the last one before it. */
async function holdsOneStory(site: Site, version: number): Promise<void> {
  let leaves = await allLeaves(site);
  await until(
    async () => (leaves = await allLeaves(site)).some(({ kind }) => kind === 'outcome'),
    'a checkpoint',
  );
  const adopted = leaves.filter(({ kind }) => kind === 'bundle');
  assert.deepEqual(
    adopted.map((leaf) => leaf['version']),
    Array.from({ length: version }, (_, i) => i + 1),
  );
  for (const { by, runs } of await decisionsOf(site)) assert.equal(by, runs);
}

async function crashAt(site: Site, file: string, step: string): Promise<string | null> {
  const config = path.join(site.root, 'sekisho.yaml');
  const child = spawn(process.execPath, [CHILD, config, site.data, file, step], {
    env: { PATH: process.env['PATH'], HOME: site.home },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // A process ends by a code or by a signal, and this one by the signal that it sends itself.
  const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return signal;
}
