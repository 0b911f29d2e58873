import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkLog } from '../src/ledger/check.ts';
import { forEach, holdReceipt, LogMemory } from './support/crash.ts';
import { askInTurn, chatOver, drive } from './support/load.ts';
import type { Exchange } from './support/load.ts';
import { startProvider } from './support/provider.ts';
import type { Provider } from './support/provider.ts';
import { startSite } from './support/site.ts';
import type { Site, SiteOptions } from './support/site.ts';
import { ROOT } from './support/source.ts';

const KILLS = 50;
/** One kill in so many comes while the site starts. */
const EARLY = 5;
const SAMPLE = 12;
const MAIN = path.join(ROOT, 'src', 'cli', 'main.ts');

test('killed at 50 random moments under load, a site forgets nothing that it acknowledged', async (t) => {
  await using provider = await startProvider({ behaviour: { kind: 'drip', everyMs: 4 } });
  const options = { root: temporary(t), ...chatOver(provider) };
  const known: Exchange[] = [];
  let memory: LogMemory | null = null;
  let startMs = 2_000;
  for (let kill = 0; kill < KILLS; kill++) {
    if (kill % EARLY === 0) {
      await killWhileStarting(options, Math.random() * startMs);
      continue;
    }
    const begun = performance.now();
    const site = await startSite(options);
    startMs = performance.now() - begun;
    memory ??= await LogMemory.of(site);
    const held = memory;
    await held.hold(site);
    await forEach(sampleOf(known), async (one) => void (await holdReceipt(site, held, one.rid ?? '', one)));
    known.push(...(await loadAndKill(site, held)));
  }
  assert.ok(memory !== null);
  await using site = await startSite(options);
  await audit(t, { site, memory, provider, known });
});

test('an old copy of DATA is refused, the newest one is not, and without DATA a new log begins', async (t) => {
  await using provider = await startProvider();
  const options = { root: temporary(t), ...chatOver(provider) };
  const data = path.join(options.root, 'data');
  const [old, newest] = [path.join(options.root, 'old'), path.join(options.root, 'newest')];
  const exchanges: Exchange[] = [];

  let site = await startSite(options);
  const memory = await LogMemory.of(site);
  await drive(site, { concurrency: 2, count: 4 }, exchanges);
  await site.kill('SIGKILL');
  cpSync(data, old, { recursive: true });

  site = await startSite(options);
  await drive(site, { concurrency: 2, count: 4 }, exchanges);
  await forEach(exchanges, async (one) => void (await holdReceipt(site, memory, one.rid ?? '', one)));
  await site.kill('SIGKILL');
  renameSync(data, newest);

  cpSync(old, data, { recursive: true });
  await assert.rejects(
    startSite(options),
    /ended before it was ready: 1\n--- standard output\n\n[\s\S]*older copy was put back/,
  );

  rmSync(data, { recursive: true });
  renameSync(newest, data);
  site = await startSite(options);
  await memory.hold(site);
  await forEach(exchanges, async (one) => void (await holdReceipt(site, memory, one.rid ?? '', one)));
  await site.kill('SIGKILL');

  rmSync(data, { recursive: true });
  await using clean = await startSite(options);
  assert.notEqual((await LogMemory.of(clean)).logId, memory.logId);
  const [asked] = await askInTurn(clean, 1);
  assert.equal(asked?.status, 200);
});

test('an old copy of DATA that starts, its anchor removed too, does not get past a client', async (t) => {
  await using provider = await startProvider();
  const options = { root: temporary(t), ...chatOver(provider) };
  const [data, old] = [path.join(options.root, 'data'), path.join(options.root, 'old')];
  const first = await startSite(options);
  const memory = await LogMemory.of(first);
  await first.stop({ keep: true });
  cpSync(data, old, { recursive: true });
  const second = await startSite(options);
  const acknowledged = await askInTurn(second, 2);
  for (const one of acknowledged) await holdReceipt(second, memory, one.rid ?? '', one);
  await second.stop({ keep: true });

  rmSync(data, { recursive: true });
  rmSync(path.join(options.root, 'home'), { recursive: true });
  renameSync(old, data);
  await using forgetful = await startSite(options);
  await assert.rejects(memory.hold(forgetful), /the log shrank from 5 to 1 leaves/);
  for (const one of acknowledged)
    await assert.rejects(holdReceipt(forgetful, memory, one.rid ?? '', one), /404 !== 200|no receipt/);
  const others = await askInTurn(forgetful, 3);
  await assert.rejects(async () => {
    for (const one of others) await holdReceipt(forgetful, memory, one.rid ?? '', one);
    await memory.hold(forgetful);
  }, /a fork at 5 leaves/);
});

/** Runs a load and kills the site in the midst of it; gives what the clients had by then. */
async function loadAndKill(site: Site, memory: LogMemory): Promise<readonly Exchange[]> {
  const exchanges: Exchange[] = [];
  const load = drive(site, { concurrency: 8 }, exchanges);
  const followed = follow(site, memory, exchanges);
  await delay(50 + Math.random() * 350);
  await site.kill('SIGKILL');
  await Promise.all([load, followed]);
  for (const { canary, rid, status } of exchanges)
    assert.ok(rid === null || status === 200, `${canary}: status ${status}`);
  return exchanges.filter(({ rid }) => rid !== null);
}

/** Fetches checkpoints and fresh receipts until the site is gone: what it signed last is what it must not take back. */
async function follow(site: Site, memory: LogMemory, exchanges: readonly Exchange[]): Promise<void> {
  for (;;) {
    const whole = exchanges.findLast((one) => one.whole);
    try {
      if (whole?.rid !== null && whole !== undefined) await holdReceipt(site, memory, whole.rid, whole);
      else await memory.hold(site);
    } catch (error) {
      // What fetch throws when the connection breaks; everything else is a finding.
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

async function killWhileStarting(options: SiteOptions, ms: number): Promise<void> {
  try {
    const site = await startSite({ ...options, program: MAIN, readyMs: Math.ceil(ms) });
    await site.kill('SIGKILL');
  } catch (error) {
    assert.ok(error instanceof Error);
    assert.match(error.message, /^not ready after/);
  }
}

interface Survivor {
  readonly site: Site;
  readonly memory: LogMemory;
  readonly provider: Provider;
  readonly known: readonly Exchange[];
}

async function audit(t: TestContext, { site, memory, provider, known }: Survivor): Promise<void> {
  assert.equal((await site.call('/readyz')).status, 200);
  // The receipt of one more request takes a checkpoint over every leaf before it.
  for (const one of await askInTurn(site, 1)) await holdReceipt(site, memory, one.rid ?? '', one);
  const leaves = await memory.leaves(site);
  const roads = new Map<string, Exchange | null>();
  const outcomes = new Set<number | undefined>();
  for (const { kind, of, rid } of leaves) {
    if (kind === 'decision' && rid !== undefined) roads.set(rid, null);
    if (kind !== 'outcome') continue;
    assert.ok(!outcomes.has(of), `two outcomes of the decision at ${of}`);
    outcomes.add(of);
  }
  for (const [index, { kind, effect, rid }] of leaves.entries())
    if (kind === 'decision' && effect === 'allow') assert.ok(outcomes.has(index), `${rid} was left open`);
  for (const exchange of known) {
    assert.ok(exchange.rid !== null && roads.has(exchange.rid), `${exchange.rid} is not in the log`);
    roads.set(exchange.rid, exchange);
  }
  const undecided = new Map(provider.requests.map(({ body }) => [body.toString(), body]));
  const statuses = new Map<string, number>();
  await forEach([...roads], async ([rid, exchange]) => {
    const receipt = await holdReceipt(site, memory, rid, exchange);
    statuses.set(receipt.status, (statuses.get(receipt.status) ?? 0) + 1);
    for (const [text, body] of undecided) if (receipt.sent(body)) undecided.delete(text);
  });
  assert.equal(undecided.size, 0, 'the provider got requests that no decision speaks of');
  assert.ok((statuses.get('unknown') ?? 0) > 0, 'no kill hit a request on its way');
  const source = { read: async (at: string) => memory.read(site, at) };
  assert.deepEqual((await checkLog(source, memory.vkey)).lines[0], 'valid');
  const counted = [...statuses].map(([status, count]) => `${count} ${status}`).join(', ');
  t.diagnostic(`${known.length} acknowledged, ${leaves.length} leaves, outcomes: ${counted}`);
}

/** The last few acknowledged, and some of all. */
function sampleOf(known: readonly Exchange[]): readonly Exchange[] {
  const some = Array.from({ length: SAMPLE }, () => known[Math.floor(Math.random() * known.length)]);
  return [...known.slice(-SAMPLE), ...some].filter((one) => one !== undefined);
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-crash-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
