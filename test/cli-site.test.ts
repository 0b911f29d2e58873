import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { formatVkey, signerFromSeed } from '../src/ledger/note.ts';
import { identity } from './support/certificates.ts';
import { runCli, type Ran } from './support/cli.ts';
import { httpSide, type FarSide } from './support/far-side.ts';
import { startProvider } from './support/provider.ts';
import { logKey, oneModel } from './support/road.ts';
import { freePort, startSite } from './support/site.ts';

const KEY = 'sek_of-ours';
const VKEY = formatVkey(signerFromSeed('localhost/demo/log', Buffer.alloc(32)).vkey);
const RECEIPT = `r_${'0'.repeat(26)}`;
const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u009b1m\u202e';

let folder: string;

before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-cli-site-'));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function sekisho(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { cwd?: string; terminal?: boolean } = {},
): Promise<Ran> {
  return runCli(args, { cwd: folder, env, ...options });
}

function urlOf(side: FarSide): string {
  return `http://127.0.0.1:${side.port}`;
}

test('ledger check shows our key to our site alone', async () => {
  const shown: string[] = [];
  const listen = (name: string) => (asked: IncomingMessage, reply: ServerResponse) => {
    shown.push(`${name} ${asked.headers.authorization ?? 'nothing'}`);
    reply.writeHead(401).end();
  };
  await using ours = await httpSide(listen('ours'));
  await using theirs = await httpSide(listen('theirs'));
  const env = { SEKISHO_KEY: KEY, SEKISHO_URL: urlOf(ours) };
  for (const side of [ours, theirs]) {
    const ran = await sekisho(['ledger', 'check', `${urlOf(side)}/ledger/x`, '--key', VKEY], env);
    assert.equal(ran.code, 2, ran.out + ran.err);
    assert.match(ran.out, /^unusable\n/);
  }
  // Without SEKISHO_URL our site is the one that the configuration here describes, not the one that is asked.
  await sekisho(['ledger', 'check', `${urlOf(theirs)}/ledger/x`, '--key', VKEY], { SEKISHO_KEY: KEY });
  assert.deepEqual(shown, [`ours Bearer ${KEY}`, 'theirs nothing', 'theirs nothing']);
});

test('a log that nobody serves is unusable, not invalid', async () => {
  const at = `http://127.0.0.1:${await freePort()}/ledger/x`;
  const ran = await sekisho(['ledger', 'check', at, '--key', VKEY, '--json'], {});
  assert.equal(ran.code, 2);
  assert.equal(JSON.parse(ran.out).verdict, 'unusable');
});

test('a terminal is shown what a site says, and obeys none of it', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    if (asked.url !== '/v1/chat/completions') {
      reply.writeHead(404, { 'content-type': 'application/json' });
      reply.end(JSON.stringify({ detail: `no ${HOSTILE} here` }));
      return;
    }
    reply.writeHead(200, { 'content-type': 'text/event-stream', 'sekisho-receipt': `${RECEIPT}\u009b2J` });
    reply.end(`${event(`a${HOSTILE}b`)}data: [DONE]\n\n`);
  });
  const env = { SEKISHO_URL: urlOf(side), SEKISHO_KEY: KEY };
  const asked = await sekisho(['ask', 'x'], env, { terminal: true });
  assert.equal(asked.code, 0, asked.out);
  assert.match(asked.out, /a\\u001b\]0;owned\\u0007/);
  const missing = await sekisho(['receipt', RECEIPT], env, { terminal: true });
  assert.match(missing.out, /no \\u001b/);
  const json = await sekisho(['receipt', RECEIPT, '--json'], env, { terminal: true });
  for (const { out } of [asked, missing, json])
    for (const obeyed of ['\u001b', '\u0007', '\u009b', '\u202e']) assert.ok(!out.includes(obeyed), out);
  // A pipe gets the answer as it is.
  assert.equal((await sekisho(['ask', 'x'], env)).out, `a${HOSTILE}b\n`);
});

test('an answer that is cut half-way still names its receipt', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, { 'content-type': 'text/event-stream', 'sekisho-receipt': RECEIPT });
    reply.write(event('half'), () => reply.destroy());
  });
  const env = { SEKISHO_URL: urlOf(side), SEKISHO_KEY: KEY };
  const asked = await sekisho(['ask', 'x'], env);
  assert.equal(asked.code, 1);
  assert.equal(asked.out, 'half\n');
  assert.match(asked.err, new RegExp(`broke off before its end\nreceipt ${RECEIPT}\n$`));
  const json = await sekisho(['ask', 'x', '--json'], env);
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.out), { receipt: RECEIPT, text: 'half', complete: false });
});

test('a denial says why in the language of the locale, and names its receipt', async () => {
  await using provider = await startProvider();
  const governance = oneModel([{ id: 'home', provider, facts: { models: { m: 'c1' } } }]);
  await using site = await startSite({ governance });
  const env = { SEKISHO_URL: site.url, SEKISHO_KEY: site.adminKey };
  const english = await sekisho(['ask', 'x'], env);
  assert.equal(english.code, 1);
  assert.match(english.err, /^ {2}home\/m: [A-Za-z].* \([\w/-]+\)\nreceipt r_\w{26}\n$/m);
  const japanese = await sekisho(['ask', 'x'], { ...env, LANG: 'ja_JP.UTF-8' });
  assert.match(japanese.err, /^ {2}home\/m: .*\p{Script=Hiragana}.*\n受領証 r_\w{26}\n$/mu);
  const json = JSON.parse((await sekisho(['ask', 'x', '--json'], env)).err);
  assert.equal(json.status, 403);
  assert.equal(json.body.error.innererror.decision_id, json.receipt);
  assert.equal(json.body.error.innererror.reasons[0].endpoint, 'home/m');
  // A refusal without reasons has a receipt too.
  const lowered = await sekisho(['ask', 'x', '--label', 'c1'], env);
  assert.match(lowered.err, /\nreceipt r_\w{26}\n$/);
});

test('the site on this machine is found by its configuration and known by its certificate', async () => {
  const own = identity({ name: 'sekisho.bank.test', hosts: ['sekisho.bank.test'] });
  const files = { cert: path.join(folder, 'site.pem'), key: path.join(folder, 'site.key') };
  writeFileSync(files.cert, own.cert);
  writeFileSync(files.key, own.key);
  await using provider = await startProvider();
  const port = await freePort();
  const config = { server: { host: '0.0.0.0', port, tls: files } };
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]), config, port });
  const there = { cwd: site.root };
  const asked = await sekisho(['ask', 'hello'], {}, there);
  assert.equal(asked.out, 'hello\n', asked.err);
  const made = await sekisho(['key', 'new'], {}, there);
  assert.equal(made.code, 0, made.err);
  // A process at the right address with another certificate than the configuration names gets no request.
  const named = { cert: path.join(folder, 'named.pem'), key: path.join(folder, 'named.key') };
  const other = identity({ name: 'other', hosts: ['127.0.0.1'] });
  writeFileSync(named.cert, other.cert);
  writeFileSync(named.key, other.key);
  const elsewhere = path.join(folder, 'named.yaml');
  writeFileSync(elsewhere, JSON.stringify({ server: { ...config.server, tls: named } }));
  const refused = await sekisho(['ask', 'hello'], { SEKISHO_CONFIG: elsewhere }, there);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /no answer from https:/);
});

test('a site of a private authority is reached with SEKISHO_CA, and not without', async () => {
  const root = identity({ name: 'root', ca: true });
  const leaf = identity({ name: 'leaf', by: root, hosts: ['127.0.0.1'] });
  await using side = await httpSide((_, reply) => reply.end('{"orgs":[]}'), { tls: { identity: leaf } });
  const ca = path.join(folder, 'root.pem');
  writeFileSync(ca, root.cert);
  const env = { SEKISHO_URL: `https://127.0.0.1:${side.port}`, SEKISHO_KEY: KEY };
  assert.equal((await sekisho(['org', 'list'], { ...env, SEKISHO_CA: ca })).code, 0);
  assert.equal((await sekisho(['org', 'list'], { ...env, NODE_EXTRA_CA_CERTS: ca })).code, 1);
  assert.equal((await sekisho(['org', 'list'], { ...env, SEKISHO_CA: '/nowhere' })).code, 2);
});

test('an organisation is made, listed, and given a key of its own', async () => {
  await using provider = await startProvider();
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const env = { SEKISHO_URL: site.url, SEKISHO_KEY: site.adminKey };
  const made = await sekisho(['org', 'new', 'Audit Office'], env);
  assert.equal(made.code, 0, made.err);
  const id = made.out.trim();
  assert.match((await sekisho(['org', 'list'], env)).out, new RegExp(`^${id} {2}Audit Office$`, 'm'));
  const { orgs } = JSON.parse((await sekisho(['org', 'list', '--json'], env)).out);
  assert.ok(orgs.some((org: { id: string }) => org.id === id));
  const key = (await sekisho(['key', 'new', '--org', id, '--days', '3'], env)).out.trim();
  assert.equal((await sekisho(['ask', 'hi'], { ...env, SEKISHO_KEY: key })).code, 0);
  assert.equal((await sekisho(['org', 'list'], { ...env, SEKISHO_KEY: key })).code, 1);
  assert.match(await logKey(site), /^localhost/);
});

test('what is wrong with a call is told before any site is asked, and exits 2', async () => {
  let asked = 0;
  await using side = await httpSide((_, reply) => {
    asked += 1;
    reply.end('{}');
  });
  const env = { SEKISHO_URL: urlOf(side), SEKISHO_KEY: KEY };
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    ...['abc', '0', '1e3', '-1', '3651'].map(
      (days) => [['key', 'new', `--days=${days}`], /--days: /] as const,
    ),
    [['key', 'new', '--role', 'boss'], /--role: expected one of admin /],
    [['key', 'new', '--name', ''], /--name: /],
    [['key', 'revoke', 'a', 'b'], /usage: sekisho key/],
    [['org', 'new', ''], /1 to 64/],
    [['org', 'new', 'a', 'b'], /usage: sekisho org/],
    [['org'], /usage: sekisho org/],
    [['receipt', RECEIPT, '--wait', 'x'], /--wait: /],
    [['receipt', RECEIPT, '--wait', '61'], /--wait: /],
    [['config', 'check', '--config', 'nofile'], /nofile: cannot be read/],
  ];
  const ran = await Promise.all(wrong.map(async ([args]) => sekisho(args, env)));
  for (const [i, { code, err, out }] of ran.entries()) {
    assert.equal(code, 2, err);
    assert.match(err, wrong[i]?.[1] ?? /$^/);
    assert.equal(out, '');
  }
  assert.equal(asked, 0);
  assert.equal((await sekisho(['org', 'list'], { ...env, SEKISHO_URL: 'ftp://x' })).code, 2);
});

function event(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
}
