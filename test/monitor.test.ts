import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { runCli, type Ran } from './support/cli.ts';
import { keyWith } from './support/keys.ts';
import { lyingLog, serveLogs } from './support/lying-log.ts';
import { startProcess, type Running } from './support/process.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, logKey, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';
import { ROOT } from './support/source.ts';

const PATIENCE_MS = 30_000;

let folder: string;
let provider: Provider;

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-monitor-'));
  provider = await startProvider();
});

after(async () => {
  await provider[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

let states = 0;
const newState = (): string => path.join(folder, `state-${states++}.json`);

function look(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return runCli(['monitor', ...args, '--once'], { cwd: folder, env });
}

/** Follows the log until the test ends, whatever becomes of it. */
function following(t: TestContext, args: readonly string[]): Running {
  const command = [
    process.execPath,
    path.join(ROOT, 'src/cli/main.ts'),
    'monitor',
    ...args,
    '--interval',
    '1',
  ];
  const running = startProcess(command, {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder, LANG: 'C.UTF-8' },
  });
  t.after(async () => running.end(running.pid, 'SIGKILL', PATIENCE_MS));
  return running;
}

async function ask(site: Site, times = 3): Promise<void> {
  for (let i = 0; i < times; i++) assert.equal((await chat(site, chatBody('hello'))).status, 200);
}

/** The site has signed all that it recorded. */
async function signed(site: Site): Promise<void> {
  const { headers } = await chat(site, chatBody('hello'));
  await site.call(`/v1/receipts/${headers.get('sekisho-receipt') ?? ''}?wait=10`);
}

test('a healthy site gives no alarm, also across a restart and a crash, with outcomes read by an auditor', async () => {
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const key = await logKey(site);
  const auditor = await keyWith(site, ['auditor']);
  const caller = await keyWith(site, ['caller']);
  const args = [site.url, '--key', key, '--state', newState(), '--outcome', '60', '--silence', '600'];
  const env = { SEKISHO_URL: site.url, SEKISHO_KEY: auditor.key };
  const healthy = async (again: Site): Promise<number> => {
    await ask(again);
    await signed(again);
    const ran = await look(args, env);
    assert.deepEqual([ran.code, ran.err], [0, ''], ran.out);
    assert.match(ran.out, /^ok localhost\/\S+ size=\d+ root=\S{44} outcomes: checked; silence: checked\n$/);
    return Number(/size=(\d+)/.exec(ran.out)?.[1]);
  };
  const sizes = [await healthy(site), await healthy(site)];
  // Without a key of an auditor only what is public is judged, and said to be.
  const open = await look(args);
  assert.equal(open.code, 0, open.out + open.err);
  assert.match(open.out, /outcomes: not checked/);
  const refused = await look([...args, '--state', newState()], { ...env, SEKISHO_KEY: caller.key });
  assert.deepEqual(
    [refused.code, /key of an auditor/.test(refused.err)],
    [2, true],
    refused.out + refused.err,
  );
  await site.kill('SIGKILL');
  const more = { root: site.root, port: site.port };
  await using crashed = await startSite(more);
  sizes.push(await healthy(crashed));
  await crashed.stop({ keep: true });
  await using stopped = await startSite(more);
  sizes.push(await healthy(stopped));
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => a - b),
  );
  const json = JSON.parse((await look([...args, '--json'], env)).out);
  assert.deepEqual([json.verdict, json.alarms, json.outcomes, json.read], ['ok', [], 'checked', json.size]);
});

test('an operator who puts back an old copy, its anchor too, and adopts it, is seen to roll back, then to fork', async (t) => {
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const key = await logKey(site);
  await ask(site);
  await site.stop({ keep: true });
  const copy = path.join(folder, 'copy');
  for (const name of ['data', 'home'])
    cpSync(path.join(site.root, name), path.join(copy, name), { recursive: true });
  const more = { root: site.root, port: site.port };
  const state = newState();
  const args = [site.url, '--key', key, '--state', state];
  await using grown = await startSite(more);
  await ask(grown, 8);
  await signed(grown);
  const follower = following(t, args);
  const size = Number(await follower.line(/^ok \S+ size=(\d+)/m, PATIENCE_MS));
  await grown.stop({ keep: true });
  for (const name of ['data', 'home']) {
    rmSync(path.join(site.root, name), { recursive: true });
    cpSync(path.join(copy, name), path.join(site.root, name), { recursive: true });
  }
  await assert.rejects(startSite(more), /two copies that sign would fork the log/);
  const place = ['--config', path.join(site.root, 'sekisho.yaml'), '--data', site.data];
  const adopted = await runCli(['ledger', 'adopt-machine', ...place], {
    cwd: site.root,
    env: { HOME: site.home },
  });
  assert.equal(adopted.code, 0, adopted.out + adopted.err);
  await using restored = await startSite(more);
  const { code } = await follower.exited;
  assert.equal(code, 1, follower.stdout() + follower.stderr());
  assert.match(
    follower.stdout(),
    new RegExp(`^alarm rollback \\S+: it shows \\d+ entries, but had signed ${size}$`, 'm'),
  );
  await ask(restored, 12);
  await signed(restored);
  const forked = await look(args);
  assert.equal(forked.code, 1, forked.out + forked.err);
  assert.match(forked.out, /^alarm fork \S+: its \d+ entries do not begin with the \d+ that it had signed$/m);
  const kept = readdirSync(folder).filter((name) => name.startsWith(`${path.basename(state)}.fork-`));
  assert.equal(kept.length, 1);
});

test('a key that was replaced is followed to the next log by the last leaf of the old one', async () => {
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const auditor = await keyWith(site, ['auditor']);
  const args = [site.url, '--key', await logKey(site), '--state', newState(), '--silence', '600'];
  const env = { SEKISHO_URL: site.url, SEKISHO_KEY: auditor.key };
  await ask(site);
  await signed(site);
  assert.equal((await look(args, env)).code, 0);
  await site.stop({ keep: true });
  const place = ['--config', path.join(site.root, 'sekisho.yaml'), '--data', site.data];
  const rotated = await runCli(['ledger', 'rotate', ...place], { cwd: site.root, env: { HOME: site.home } });
  assert.equal(rotated.code, 0, rotated.out + rotated.err);
  await using again = await startSite({ root: site.root, port: site.port });
  await ask(again);
  await signed(again);
  const unread = await look([...args, '--state', newState()]);
  assert.deepEqual([unread.code, /^alarm unknown-log/m.test(unread.out)], [1, true], unread.out + unread.err);
  for (let i = 0; i < 2; i++) {
    const followed = await look(args, env);
    assert.equal(followed.code, 0, followed.out + followed.err);
    assert.equal(
      followed.out.match(/^ok localhost\/\S+ size=\d+ .*outcomes: checked/gm)?.length,
      2,
      followed.out,
    );
  }
});

test('a site that is gone is silent after the time told, and cannot be judged before', async (t) => {
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const args = [site.url, '--key', await logKey(site), '--state', newState()];
  assert.equal((await look(args)).code, 0);
  await site.stop();
  const unjudged = await look(args);
  assert.deepEqual(
    [unjudged.code, /^unreached .*\n {2}no answer/.test(unjudged.out)],
    [2, true],
    unjudged.out,
  );
  const follower = following(t, [...args, '--silence', '1']);
  assert.equal((await follower.exited).code, 1);
  assert.match(follower.stdout(), /^alarm silence \S+: no new checkpoint for \d+ s$/m);
});

test('a log that the site lists and nobody vouches for is an alarm, and so is an allowed decision left open', async () => {
  const [known, hidden] = [lyingLog('localhost/liar/00000001'), lyingLog('localhost/liar/00000002')];
  const decision = {
    kind: 'decision',
    rid: `r_${'0'.repeat(26)}`,
    attempt: 1,
    t: 1000,
    effect: 'allow',
    c: {},
  };
  known.show([Buffer.from(JSON.stringify(decision))]);
  await using side = await serveLogs({ '00000001': known, '00000002': hidden });
  const url = `http://127.0.0.1:${side.port}`;
  const env = { SEKISHO_URL: url, SEKISHO_KEY: 'sek_x' };
  const both = ['--key', known.vkey, '--key', hidden.vkey];
  assert.equal((await look([url, ...both, '--state', newState()])).code, 0);
  const stranger = await look([url, '--key', known.vkey, '--state', newState()]);
  assert.equal(stranger.code, 1);
  assert.match(stranger.out, /^alarm unknown-log \/ledger\/00000002: .* localhost\/liar\/00000002\+/m);
  const open = await look([`${url}/ledger/00000001`, '--key', known.vkey, '--state', newState()], env);
  assert.equal(open.code, 1, open.err);
  assert.match(
    open.out,
    /^alarm outcome .*: attempt 1 of r_0{26}, allowed in entry 0, has no outcome after \d+ s$/m,
  );
});

test('a server that never stops sending fills neither memory nor disk', async () => {
  const log = lyingLog();
  log.show(Array.from({ length: 700 }, (_, n) => Buffer.from(`{"n":${n}}`)));
  const piece = Buffer.alloc(1 << 16, 'x');
  const pour = (reply: ServerResponse): boolean => {
    const more = (): void => {
      while (!reply.destroyed && reply.write(piece));
    };
    reply.writeHead(200).on('drain', more);
    more();
    return true;
  };
  const cases: readonly (readonly [path: RegExp, code: number, said: RegExp])[] = [
    [/\/checkpoint$/, 1, /^alarm signature/m],
    [/\/tile\/0/, 1, /^alarm unproven/m],
    [/\/tile\/entries/, 1, /^alarm unproven/m],
    [/^\/ledger$/, 2, /no list of its logs/],
  ];
  for (const [endless, code, said] of cases) {
    let poured: ServerResponse | null = null;
    await using side = await serveLogs(
      { '0badcafe': log },
      { stray: (at, reply) => endless.test(at) && pour((poured = reply)) },
    );
    const url = `http://127.0.0.1:${side.port}`;
    const state = newState();
    const env = { SEKISHO_URL: url, SEKISHO_KEY: 'sek_x' };
    const ran = await look([url, '--key', log.vkey, '--state', state], env);
    assert.equal(ran.code, code, `${ran.out}${ran.err}`);
    assert.match(ran.out, said);
    assert.ok(poured !== null && existsSync(state));
  }
});

test('wrong usage says how it is meant, and nothing is asked', async () => {
  const log = lyingLog();
  const at = 'http://127.0.0.1:9/ledger/0badcafe';
  for (const args of [
    [],
    [at],
    [at, '--key', log.vkey, '--policy', 'x'],
    [at, '--key', log.vkey, '--silence', '0'],
    [at, '--key', log.vkey, '--outcome', '1.5'],
    [at, '--key', log.vkey, '--interval', '5'],
    [at, '--key', log.vkey, 'more'],
    [at, '--key', 'no key'],
    [at, '--policy', 'nowhere'],
    [at, '--key', log.vkey, '--key', lyingLog().vkey],
    ['ftp://127.0.0.1', '--key', log.vkey],
    [at, '--key', log.vkey, '--state', 'no/such/folder/state'],
  ]) {
    const ran = await look(args);
    assert.deepEqual([ran.code, ran.out], [2, ''], args.join(' '));
    assert.match(ran.err, /^usage: sekisho monitor|^sekisho monitor: \w/, args.join(' '));
  }
});
