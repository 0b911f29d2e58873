import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { runCli, type Ran } from '../../test/support/cli.ts';
import { startProvider, type Provider } from '../../test/support/provider.ts';
import { chat, chatBody, oneModel } from '../../test/support/road.ts';
import { startSite, type Site } from '../../test/support/site.ts';

let provider: Provider;
let site: Site;
let folder: string;

before(async () => {
  provider = await startProvider();
  site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-policy-'));
});

after(async () => {
  await site.stop();
  await provider.close();
  rmSync(folder, { recursive: true, force: true });
});

async function sekisho(line: string): Promise<Ran> {
  const env = { SEKISHO_URL: site.url, SEKISHO_KEY: site.adminKey };
  return runCli(line.split(' '), { cwd: folder, env });
}

async function good(line: string): Promise<string> {
  const { code, out, err } = await sekisho(line);
  assert.equal(code, 0, `${line}\n${out}${err}`);
  return out;
}

async function refused(line: string, why: RegExp): Promise<void> {
  const { code, err } = await sekisho(line);
  assert.equal(code, 1, line);
  assert.match(err, why);
}

const FIRST = '--signer keys/policy-signer.key';

/** The drafts of the site with other facts in `site.yaml`. */
function writeSite(facts: Readonly<Record<string, unknown>>): string {
  const drafts = path.join(site.root, 'governance');
  const base = { name: 'localhost/test', jurisdiction: 'JP', posture: 'private', label: 'c2' };
  writeFileSync(path.join(drafts, 'site.yaml'), stringify({ ...base, ...facts }));
  return drafts;
}

test('a change goes from drafts to force: check, build, diff, sign by two, apply, history', async () => {
  const own = path.join(site.data, 'keys', 'policy-signer.key');
  const [ada, ben] = [
    await good('signer new --out ada --name ada'),
    await good('signer new --out ben --name ben'),
  ];
  assert.equal(statSync(path.join(folder, 'ada')).mode & 0o777, 0o600);
  const drafts = writeSite({ signers: { threshold: 2, keys: [ada.trim(), ben.trim()] } });
  assert.match(await good(`policy check ${drafts}`), /usable/);

  assert.match(
    await good(`policy build --governance ${drafts} --out v2`),
    /^version 2 sha256:.*needs 2 of 2/,
  );
  assert.match(await good('policy diff running v2'), /^~ site: ~signers\n$/);
  await good(`policy sign v2 --signer ${own}`);
  assert.match(await good('policy apply v2'), /^version 2 sha256:[0-9a-f]{64} is in force\n$/);

  writeSite({ posture: 'disconnected' });
  await good(`policy build --governance ${drafts} --out v3`);
  await good('policy sign v3 --signer ada');
  await refused('policy apply v3', /2 of the running bundle's 2 signers must sign, 1 did/);
  await good('policy sign v3 --signer ben');
  assert.equal(JSON.parse(await good('policy apply v3 --json')).version, 3);
  const history = JSON.parse(await good('policy history --json')) as { bundles: { signers: string[] }[] };
  assert.deepEqual(
    history.bundles.map(({ signers }) => signers.length),
    [0, 1, 2],
  );
  assert.equal((await good('policy history')).trim().split('\n').length, 3);
});

test('the stop is one command, and an earlier content lifts it as a new version', async () => {
  assert.match(await good('policy apply --emergency --signer ada'), /^stopped: every request is denied/);
  const denied = await chat(site, chatBody('hello'));
  assert.equal(denied.status, 403);
  assert.match(denied.text, /emergency-stop/);
  await good('policy build --from-history 2 --out lift');
  await good('policy sign lift --signer ada');
  await good('policy sign lift --signer ben');
  await good('policy apply lift --immediate');
  assert.equal((await chat(site, chatBody('hello'))).status, 200);
});

test('sign refuses a second signature of one signer, and what does not hold together', async () => {
  await good('policy build --from-history 2 --out more');
  await good('policy sign more --signer ada');
  await refused('policy sign more --signer ada', /has signed this bundle already/);
  const text = readFileSync(path.join(folder, 'more'), 'utf8');
  writeFileSync(path.join(folder, 'bent'), text.replace('"posture":"private"', '"posture":"public"'));
  await refused('policy sign bent --signer ben', /the digest of .* does not match/);
});

test('nothing is written over, and wrong usage says so', async () => {
  for (const line of ['signer new --out ada', 'policy build --from-history 2 --out more'])
    assert.notEqual((await sekisho(line)).code, 0, line);
  for (const line of [
    'signer',
    'signer new',
    'policy build',
    'policy sign x',
    'policy diff x',
    'policy apply',
    'policy apply x --emergency',
    `policy apply ${FIRST}`,
  ])
    assert.equal((await sekisho(line)).code, 2, line);
});
