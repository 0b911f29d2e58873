import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { AT, sampleBundle, sampleDrafts, SIGNER, SIGNERS } from '../../test/support/policy.ts';
import { adoptBundle, firstBundle, loadRunningBundle } from './adopt.ts';
import { buildBundle, encodeBundle } from './bundle.ts';
import type { Bundle } from './types.ts';

async function dataFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sekisho-governance-'));
  context.after(() => rm(folder, { recursive: true }));
  return join(folder, 'governance');
}

function version(number: number): Bundle {
  return buildBundle(sampleDrafts(), { version: number, signers: SIGNERS });
}

test('version 1 has the one signer of the first start, whatever the drafts name', () => {
  const named = { threshold: 1, keys: [SIGNER.replace('signer', 'other')] };
  const bundle = firstBundle({ ...sampleDrafts(), signers: named }, SIGNER, AT);
  assert.deepEqual([bundle.version, bundle.site.signers], [1, { threshold: 1, keys: [SIGNER] }]);
});

test('drafts whose rules cannot run are not adopted', () => {
  const drafts = sampleDrafts({
    policies: { broken: 'permit(principal, action, resource) when { resource.x };' },
  });
  assert.throws(() => firstBundle(drafts, SIGNER, AT), { code: 'policy.invalid' });
});

test('drafts whose own tests do not hold are not adopted, and each failing test is named', () => {
  const [model = ''] = Object.keys(sampleDrafts().models);
  const asked = { model, label: 'c3', purpose: null, roles: [], at: null, deny: {} };
  const wrong = { ...asked, name: 'wrong', allow: ['nobody/m'] };
  assert.throws(() => firstBundle({ ...sampleDrafts(), tests: [wrong] }, SIGNER, AT), {
    kind: 'invalid',
    code: 'policy.tests',
    message: /"wrong": nobody\/m is not an endpoint/,
  });
});

test('what was adopted runs from then on, with all versions kept, readable by the owner only', async (context) => {
  const dir = await dataFolder(context);
  assert.equal(await loadRunningBundle(dir), null);
  await adoptBundle(dir, version(1));
  await adoptBundle(dir, version(2));
  assert.deepEqual(await loadRunningBundle(dir), version(2));
  assert.equal((await readdir(join(dir, 'history'))).length, 2);
  assert.equal((await stat(join(dir, 'running.json'))).mode & 0o777, 0o600);
});

test('refuses the version that runs and older ones, and keeps what runs', async (context) => {
  const dir = await dataFolder(context);
  await adoptBundle(dir, version(3));
  for (const number of [1, 2, 3])
    await assert.rejects(adoptBundle(dir, version(number)), { kind: 'conflict', code: 'policy.version' });
  assert.equal((await loadRunningBundle(dir))?.version, 3);
});

test('a first start that crashed before its last step is finished, and drafts are not read again', async (context) => {
  const dir = await dataFolder(context);
  await adoptBundle(dir, version(1));
  await rm(join(dir, 'running.json'));
  await writeFile(join(dir, 'running.json.tmp'), 'half');
  assert.deepEqual(await loadRunningBundle(dir), version(1));
  assert.deepEqual(await readFile(join(dir, 'running.json')), encodeBundle(version(1)));
});

test('a crash that left half a file does not hinder the next adoption', async (context) => {
  const dir = await dataFolder(context);
  await adoptBundle(dir, version(1));
  await writeFile(join(dir, 'running.json.tmp'), 'half');
  await adoptBundle(dir, version(2));
  assert.equal((await loadRunningBundle(dir))?.version, 2);
});

test('a running bundle that was taken away, cut or changed is refused and never replaced', async (context) => {
  const dir = await dataFolder(context);
  await adoptBundle(dir, version(1));
  await adoptBundle(dir, version(2));
  const file = join(dir, 'running.json');
  const bytes = await readFile(file);
  for (const damaged of [bytes.subarray(0, 100), Buffer.alloc(0), Buffer.concat([bytes, Buffer.from(' ')])]) {
    await writeFile(file, damaged);
    await assert.rejects(loadRunningBundle(dir), { kind: 'invalid' });
    await assert.rejects(adoptBundle(dir, version(3)), { kind: 'invalid' });
  }
  await writeFile(file, Buffer.from(bytes.toString().replaceAll('"inference":"JP"', '"inference":"US"')));
  await assert.rejects(loadRunningBundle(dir), /digest of providers\/outside/);
  await rm(file);
  await assert.rejects(loadRunningBundle(dir), /holds several versions/);
  await assert.rejects(adoptBundle(dir, version(1)), /holds several versions/);
});

test('a folder that cannot be written is an error that names it', async (context) => {
  const dir = await dataFolder(context);
  await adoptBundle(dir, sampleBundle());
  const history = join(dir, 'history');
  await rm(history, { recursive: true });
  await writeFile(history, 'a file where a folder must be');
  await assert.rejects(adoptBundle(dir, version(2)), { kind: 'unavailable', code: 'policy.storage' });
  assert.equal((await loadRunningBundle(dir))?.version, 1);
});
