import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { holdReceipt, LogMemory } from './support/crash.ts';
import { askInTurn, chatOver, drive } from './support/load.ts';
import type { Exchange } from './support/load.ts';
import { startProvider } from './support/provider.ts';
import { startSite } from './support/site.ts';
import { ROOT } from './support/source.ts';

const MAIN = path.join(ROOT, 'src', 'cli', 'main.ts');
const run = promisify(execFile);

function temporary(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-backup-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function sekisho(root: string, ...args: readonly string[]): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: path.join(root, 'home'), LANG: 'C.UTF-8' };
  const config = existsSync(path.join(root, 'sekisho.yaml'))
    ? ['--config', path.join(root, 'sekisho.yaml')]
    : [];
  const data = args.includes('--data') ? [] : ['--data', path.join(root, 'data')];
  const { stdout } = await run(process.execPath, [MAIN, ...args, ...config, ...data], { env, cwd: root });
  return stdout;
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('expected a refusal'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error && 'stderr' in error);
  return String(error.stderr);
}

test('a backup under load loses and refuses no request, passes the drill, and is restored where the anchor agrees', async (t) => {
  await using provider = await startProvider();
  const root = temporary(t);
  const options = { root, ...chatOver(provider) };
  const [data, backup] = [path.join(root, 'data'), path.join(root, 'backup')];
  await using site = await startSite(options);
  const memory = await LogMemory.of(site);
  const exchanges: Exchange[] = [];
  const stop = new AbortController();
  const load = drive(site, { concurrency: 4, signal: stop.signal }, exchanges);
  const before = exchanges.length;
  await sekisho(root, 'backup', '--out', backup, '--with-keys');
  const during = exchanges.length - before;
  stop.abort();
  await load;
  assert.ok(during > 10, `${during} requests while the backup ran`);
  assert.deepEqual(
    exchanges.filter(({ status, whole }) => status !== 200 || !whole),
    [],
  );
  // Receipts have the site sign what came after the backup.
  for (const one of exchanges.slice(-20)) await holdReceipt(site, memory, one.rid ?? '', one);
  assert.match(
    await sekisho(root, 'restore', '--drill', backup),
    /^drill passed\n[\s\S]*anchor: signed \d+ leaves after/,
  );
  await site.stop({ keep: true });

  rmSync(data, { recursive: true });
  await sekisho(root, 'restore', backup);
  await assert.rejects(startSite(options), /older copy was put back/);
  rmSync(data, { recursive: true });
  rmSync(backup, { recursive: true });
  rmSync(path.join(root, 'home'), { recursive: true });

  await using fresh = await startSite(options);
  const again = await LogMemory.of(fresh);
  const asked = await askInTurn(fresh, 3);
  await fresh.stop({ keep: true });
  await sekisho(root, 'backup', '--out', backup);
  assert.ok(!existsSync(path.join(backup, 'keys')));
  assert.equal(statSync(path.join(backup, 'sekisho.db')).mode & 0o777, 0o600);
  cpSync(path.join(data, 'keys'), path.join(root, 'safe'), { recursive: true });
  const [key] = [readFileSync(path.join(data, 'admin-key'), 'utf8').trim()];
  rmSync(data, { recursive: true });
  assert.match(await refusal(sekisho(root, 'restore', backup)), /has no keys.*--keys/);
  assert.ok(!existsSync(data), 'a refused restore leaves nothing');
  await sekisho(root, 'restore', backup, '--keys', path.join(root, 'safe'));
  await using back = await startSite({ ...options, env: { SEKISHO_ADMIN_KEY: key } });
  await again.hold(back);
  for (const one of asked) await holdReceipt(back, again, one.rid ?? '', one);
});

test('a damaged backup, a full place, and a restore without an anchor are refused with the fix', async (t) => {
  await using provider = await startProvider();
  const root = temporary(t);
  const options = { root, ...chatOver(provider) };
  const [data, backup] = [path.join(root, 'data'), path.join(root, 'backup')];
  await using site = await startSite(options);
  await askInTurn(site, 2);
  await site.stop({ keep: true });
  await sekisho(root, 'backup', '--out', backup, '--with-keys');
  assert.match(await refusal(sekisho(root, 'backup', '--out', backup)), /exists already/);
  assert.match(await refusal(sekisho(root, 'restore', backup)), /is not empty: move it away/);

  rmSync(data, { recursive: true });
  for (const [name, what] of [
    ['sekisho.db', /sekisho\.db is not what was backed up/],
    ['extra', /extra is not listed/],
  ] as const) {
    const copy = path.join(root, 'damaged');
    cpSync(backup, copy, { recursive: true });
    appendFileSync(path.join(copy, name), 'x');
    assert.match(await refusal(sekisho(root, 'restore', copy)), what);
    assert.match(await refusal(sekisho(root, 'restore', '--drill', copy)), what);
    rmSync(copy, { recursive: true });
  }
  assert.deepEqual(
    readdirSync(root).filter((name) => name.includes('partial')),
    [],
  );

  rmSync(path.join(root, 'home'), { recursive: true });
  await sekisho(root, 'restore', backup);
  await assert.rejects(startSite(options), /no anchor says that nothing was signed since/);
});

test('a clone with its anchor refuses to start, an honest move is adopted and recorded', async (t) => {
  await using provider = await startProvider();
  const [root, other] = [temporary(t), temporary(t)];
  await using site = await startSite({ root, ...chatOver(provider) });
  await askInTurn(site, 1);
  await site.stop({ keep: true });
  cpSync(root, other, { recursive: true });
  await assert.rejects(
    startSite({ root: other, ...chatOver(provider) }),
    /is a copy: two copies that sign would fork the log/,
  );
  assert.match(await sekisho(other, 'ledger', 'adopt-machine'), /adopted here, leaf \d+/);
  await using moved = await startSite({ root: other, ...chatOver(provider) });
  const leaves = await (await LogMemory.of(moved)).leaves(moved);
  assert.ok(
    leaves.some((leaf) => leaf.kind === 'control' && 'event' in leaf && leaf.event === 'machine-adopted'),
  );
});
