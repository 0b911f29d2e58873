import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { parse } from 'yaml';
import { modelsDraft, providerDraft, siteDraft } from '../src/policy/draft-schema.ts';
import { loopbackProvider, writeGovernance } from './support/governance.ts';
import { startSite } from './support/site.ts';

// Stands in for the site, so that what is tested here is only how it is started, watched and ended.
const STAND_IN = `
  const fs = require('node:fs'), http = require('node:http');
  const [, , verb, ...args] = process.argv;
  const value = (name) => args[args.indexOf(name) + 1];
  if (process.env.FAIL) { console.error('planted reason'); process.exit(7); }
  fs.mkdirSync(value('--data'), { recursive: true });
  fs.writeFileSync(value('--data') + '/admin-key', 'sk-planted\\n');
  http.createServer((request, response) => {
    response.end(JSON.stringify({ verb, args, env: process.env, key: request.headers.authorization }));
  }).listen(Number(value('--port')), '127.0.0.1', () => console.log('ready http://127.0.0.1:' + value('--port')));
  process.on('SIGTERM', () => process.exit(0));
`;

test('starts on a free port with a clean environment and asks with the admin key', async (t) => {
  process.env['SEKISHO_KEY'] = 'planted';
  t.after(() => delete process.env['SEKISHO_KEY']);
  const site = await startSite({ program: standIn(t), config: { server: { hosts: ['a.example'] } } });
  const reply = await site.call('/v1/models');
  const seen: unknown = JSON.parse(reply.text);
  assert.ok(typeof seen === 'object' && seen !== null && 'env' in seen && 'key' in seen && 'args' in seen);
  assert.equal(seen.key, 'Bearer sk-planted');
  assert.deepEqual(seen.args, [
    '--config',
    path.join(site.root, 'sekisho.yaml'),
    '--data',
    site.data,
    '--port',
    String(site.port),
  ]);
  const names = Object.keys(seen.env ?? {}).toSorted();
  assert.deepEqual(
    names.filter((name) => !name.startsWith('__')),
    ['HOME', 'LANG', 'PATH', 'SEKISHO_MODELS'],
  );
  assert.deepEqual(await site.stop(), { code: 0, signal: null });
  assert.equal(existsSync(site.root), false);
});

test('keeps the folder after a kill and starts on it again', async (t) => {
  const program = standIn(t);
  const first = await startSite({ program });
  assert.deepEqual(await first.kill('SIGKILL'), { code: null, signal: 'SIGKILL' });
  assert.ok(existsSync(first.data));
  await using second = await startSite({ program, root: first.root });
  assert.equal(second.data, first.data);
});

test('says what a site printed that ended before it was ready', async (t) => {
  const failing = startSite({ program: standIn(t), env: { FAIL: '1' } });
  await assert.rejects(failing, /ended before it was ready: 7[\s\S]*planted reason/);
});

test('writes drafts that the policy room accepts', (t) => {
  const folder = temporary(t);
  const provider = loopbackProvider({ id: 'near', url: 'http://127.0.0.1:1', models: { scripted: 'c2' } });
  writeGovernance(folder, {
    providers: [provider],
    models: { chat: { from: [{ endpoint: 'near/scripted' }] } },
  });
  const read = (file: string): unknown => parse(readFileSync(path.join(folder, file), 'utf8'));
  assert.equal(siteDraft.parse(read('site.yaml')).name, 'localhost/test');
  assert.equal(providerDraft.parse(read('providers/near.yaml')).residency?.inference, 'JP');
  assert.deepEqual(Object.keys(modelsDraft.parse(read('models.yaml'))), ['chat']);
});

function standIn(t: TestContext): string {
  const file = path.join(temporary(t), 'stand-in.cjs');
  writeFileSync(file, STAND_IN);
  return file;
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-support-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
