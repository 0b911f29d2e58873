import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { runCli, type Ran } from './support/cli.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { logKey, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

let provider: Provider;
let site: Site;
let folder: string;

before(async () => {
  provider = await startProvider();
  site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-cli-'));
});

after(async () => {
  await site.stop();
  await provider.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command against the site of this file, which the launcher started. */
async function sekisho(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const ours = { SEKISHO_URL: site.url, SEKISHO_KEY: site.adminKey };
  return runCli(args, { cwd: folder, env: { ...ours, ...env } });
}

test('ask streams an answer, then names the receipt, which verifies from files', async () => {
  const asked = await sekisho(['ask', 'hello there']);
  assert.equal(asked.code, 0, asked.err);
  assert.equal(asked.out, 'hello there\n');
  const id = /receipt (r_\w{26})/.exec(asked.err)?.[1] ?? '';
  const fetched = await sekisho(['receipt', id, '--out', 'receipt.json']);
  assert.equal(fetched.code, 0, fetched.err);
  const verified = await sekisho(['verify', 'receipt.json', '--key', await logKey(site)]);
  assert.equal(verified.code, 0, verified.out + verified.err);
  assert.match(verified.out, /^valid\nlevel=logged state=closed\n/);
});

test('verify takes the key from the environment, and tells another body', async () => {
  const asked = await sekisho(['ask', '--json', 'compare me']);
  const { receipt } = JSON.parse(asked.out) as { receipt: string };
  await sekisho(['receipt', receipt, '--out', 'r.json']);
  const key = { SEKISHO_LOG_KEY: await logKey(site) };
  writeFileSync(path.join(folder, 'other.json'), '{"model":"chat"}');
  const other = await sekisho(['verify', 'r.json', '--request', 'other.json'], key);
  assert.equal(other.code, 1);
  assert.match(other.out, /^invalid\n/);
  const without = await sekisho(['verify', 'r.json']);
  assert.equal(without.code, 2);
});

test('a denial is a plain message and exit 1', async () => {
  const asked = await sekisho(['ask', 'hello', '--label', 'c1']);
  assert.equal(asked.code, 1);
  assert.match(asked.err, /may raise the label c2, not lower it/);
});

test('ledger check derives the whole log from the address and from the folder', async () => {
  await sekisho(['ask', 'one more leaf']);
  const key = await logKey(site);
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  const url = `${site.url}${logs[0]?.url}`;
  const remote = await sekisho(['ledger', 'check', url, '--key', key]);
  assert.equal(remote.code, 0, remote.out + remote.err);
  assert.match(remote.out, /^valid\n/);
  const stranger = await sekisho(['ledger', 'check', url, '--key', key], { SEKISHO_KEY: 'nobody' });
  assert.notEqual(stranger.code, 0);
});

test('key new shows a key once, that works until it is revoked', async () => {
  const made = await sekisho(['key', 'new', '--name', 'ci', '--role', 'caller']);
  assert.equal(made.code, 0, made.err);
  const key = made.out.trim();
  const listed = await sekisho(['key', 'list', '--json']);
  assert.ok(!listed.out.includes(key));
  const { keys } = JSON.parse(listed.out) as { keys: { id: string; name: string }[] };
  const id = keys.find(({ name }) => name === 'ci')?.id ?? '';
  assert.equal((await sekisho(['ask', 'hi'], { SEKISHO_KEY: key })).code, 0);
  assert.equal((await sekisho(['key', 'new'], { SEKISHO_KEY: key })).code, 1);
  assert.equal((await sekisho(['key', 'revoke', id])).code, 0);
  const refused = await sekisho(['ask', 'hi'], { SEKISHO_KEY: key });
  assert.equal(refused.code, 1);
  assert.match(refused.err, /no valid key/);
});

test('doctor lists findings, and fails when no site answers', async () => {
  const well = await sekisho(['doctor', '--json']);
  assert.equal(well.code, 0, well.out);
  const { findings } = JSON.parse(well.out) as { findings: { name: string; state: string }[] };
  assert.ok(findings.some(({ name, state }) => name === 'ledger' && state === 'ok'));
  const alone = await sekisho(['doctor'], { SEKISHO_URL: 'http://127.0.0.1:9' });
  assert.equal(alone.code, 1);
  assert.match(alone.out, /failing\s+site: no answer/);
});

test('config check shows the effective configuration with secrets left out', async () => {
  writeFileSync(path.join(folder, 'sekisho.yaml'), 'secrets: {sakura: {file: sakura.txt}}\n');
  writeFileSync(path.join(folder, 'sakura.txt'), 'CNRY-secret\n');
  const shown = await sekisho(['config', 'check']);
  assert.equal(shown.code, 0, shown.err);
  assert.equal(JSON.parse(shown.out).server.port, 8420);
  assert.ok(!shown.out.includes('CNRY'));
  writeFileSync(path.join(folder, 'sekisho.yaml'), 'sever: {port: 1}\n');
  const wrong = await sekisho(['config', 'check']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /sever.*server/);
  rmSync(path.join(folder, 'sekisho.yaml'));
});

test('help is in the language of the locale, and wrong usage exits 2', async () => {
  const english = await sekisho(['--help']);
  assert.equal(english.code, 0);
  assert.match(english.out, /usage: sekisho COMMAND/);
  const japanese = await sekisho(['--help'], { LANG: 'ja_JP.UTF-8' });
  assert.match(japanese.out, /使い方/);
  const commands = ['up', 'ask', 'receipt', 'verify', 'ledger', 'key', 'org', 'model', 'doctor', 'config'];
  const helps = await Promise.all(commands.map(async (command) => sekisho([command, '--help'])));
  for (const [i, help] of helps.entries()) {
    assert.equal(help.code, 0, help.err);
    assert.match(help.out, new RegExp(`sekisho ${commands[i] ?? ''}`));
  }
  const wrong = [
    [],
    ['upp'],
    ['ask'],
    ['ask', '--nonsense'],
    ['receipt'],
    ['key', 'nonsense'],
    ['up', '--port', 'x'],
  ];
  for (const ran of await Promise.all(wrong.map(async (args) => sekisho(args)))) {
    assert.equal(ran.code, 2, ran.err);
    assert.equal(ran.out, '');
  }
  assert.match((await sekisho(['recipt'])).err, /did you mean receipt\?/);
});

test('standard output of a site carries the ready line only, and its key file is private', () => {
  assert.equal(site.stdout(), `ready ${site.url}\n`);
  assert.ok(site.stderr().includes(path.join(site.data, 'admin-key')));
  assert.ok(!site.stderr().includes(site.adminKey));
  assert.equal(readFileSync(path.join(site.data, 'admin-key'), 'utf8').trim(), site.adminKey);
});

test('the description, health and readiness are there, and metrics need an operator', async () => {
  const described = JSON.parse((await site.call('/api/v1/openapi.json')).text) as {
    openapi: string;
    paths: Record<string, unknown>;
  };
  assert.equal(described.openapi, '3.1.0');
  for (const at of ['/v1/receipts/{id}', '/ledger/{log}/checkpoint', '/api/v1/keys', '/healthz', '/readyz']) {
    assert.ok(at in described.paths, at);
  }
  assert.equal((await site.call('/healthz', { headers: { authorization: '' } })).status, 200);
  const ready = JSON.parse((await site.call('/readyz')).text) as { ready: boolean };
  assert.equal(ready.ready, true);
  assert.match((await site.call('/metrics')).text, /^sekisho_ledger_entries \d+$/m);
  assert.equal((await site.call('/metrics', { headers: { authorization: '' } })).status, 401);
});

test('a data directory where nothing can be made is named at once', async () => {
  const ran = await sekisho(['up', '--data', '/proc/nowhere/data', '--port', '0']);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /cannot use the data directory \/proc\/nowhere\/data/);
});
