import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { until } from './support/observe.ts';
import { startProcess } from './support/process.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, oneModel, receiptOf, type Asked } from './support/road.ts';
import { startSite, type Site, type SiteOptions } from './support/site.ts';
import { ROOT } from './support/source.ts';

/** Below the 10 s that are promised, so that a slow machine keeps the promise too. */
const EXIT_MS = 8_500;
/** Two signals closer together are one key press. */
const NEXT_PRESS_MS = 1_100;
const FOLDER = mkdtempSync(path.join(os.tmpdir(), 'sekisho-stopping-'));

let home: Provider;

before(async () => {
  home = await startProvider({ behaviour: { kind: 'drip', everyMs: 50, pieces: 2000 } });
});

after(async () => {
  await home[Symbol.asyncDispose]();
  rmSync(FOLDER, { recursive: true, force: true });
});

test('answers that are cut at the end get their outcomes before the log closes, in time', async () => {
  const site = await started();
  const running = await twoAnswers(site);
  const begun = performance.now();
  assert.deepEqual(await site.stop({ keep: true }), { code: 0, signal: null });
  const took = performance.now() - begun;
  assert.ok(took < EXIT_MS, `${took} ms`);
  assert.doesNotMatch(site.stderr(), /outcome_not_recorded|unknown_outcomes/);
  const asked = await Promise.all(running);
  const again = await startSite({ root: site.root });
  try {
    for (const one of asked) {
      const [attempt] = leavesOf(await receiptOf(again, one));
      assert.equal(attempt?.outcome?.['status'], 'client-gone');
    }
  } finally {
    await again.stop();
  }
});

test('a second signal ends a site that still drains', async () => {
  const site = await started();
  const running = await twoAnswers(site);
  const begun = performance.now();
  process.kill(site.pid, 'SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, NEXT_PRESS_MS));
  const { code, signal } = await site.kill('SIGTERM');
  assert.ok(performance.now() - begun < 4_000);
  assert.ok(code === 143 || signal === 'SIGTERM', `${code} ${signal}`);
  await Promise.all(running);
  rmSync(site.root, { recursive: true, force: true });
});

test('a site that is told to stop while it starts never says that it is ready', async () => {
  const data = path.join(FOLDER, 'data');
  const env = { PATH: process.env['PATH'], HOME: FOLDER, LANG: 'C.UTF-8', SEKISHO_MODELS: FOLDER };
  const main = path.join(ROOT, 'src', 'cli', 'main.ts');
  const command = [process.execPath, main, 'up', '--data', data, '--port', '0'];
  const running = startProcess(command, { cwd: FOLDER, env });
  await until(() => existsSync(data), 'it has begun');
  const exit = await running.end(running.pid, 'SIGTERM', EXIT_MS);
  assert.deepEqual(exit, { code: 0, signal: null }, running.stderr());
  assert.equal(running.stdout(), '');
});

test('a reload names the settings that wait for a restart, and keeps what the command line said', async () => {
  const site = await started({ config: { server: { port: 1 } } });
  try {
    edit(site, (config) => ({ ...config, server: { port: 1, hosts: ['a.example'] } }));
    await until(() => /"event":"config.reloaded"/.test(site.stderr()), 'the hosts are taken over');
    assert.doesNotMatch(site.stderr(), /restart/);
    edit(site, (config) => ({
      ...config,
      egress: { resolvers: ['127.0.0.1'] },
      ledger: { anchor: './elsewhere' },
    }));
    const named = /take effect after a restart: ledger\.anchor, egress\.resolvers\n/;
    await until(() => named.test(site.stderr()), 'they are named');
    assert.match(
      site.stderr(),
      /"event":"config.needs_restart","settings":"ledger\.anchor, egress\.resolvers"/,
    );
  } finally {
    await site.stop();
  }
});

async function started(options: SiteOptions = {}): Promise<Site> {
  return startSite({ governance: oneModel([{ id: 'home', provider: home }]), ...options });
}

/** Two streams of which the clients have begun to read. */
async function twoAnswers(site: Site): Promise<readonly Promise<Asked>[]> {
  const before = home.requests.length;
  const body = chatBody('x'.repeat(2000), { stream: true });
  const running = [chat(site, body), chat(site, body)];
  await home.arrived(before + 2);
  return running;
}

function edit(site: Site, change: (config: Record<string, unknown>) => Record<string, unknown>): void {
  const file = path.join(site.root, 'sekisho.yaml');
  const config = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, stringify(change(config)));
}
