import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { lockFile } from '../src/ledger/lock.ts';
import { formatVkey, parseSigner } from '../src/ledger/note.ts';
import { loopbackProvider } from './support/governance.ts';
import type { GovernanceDrafts } from './support/governance.ts';
import { freePort, startSite } from './support/site.ts';
import type { SiteOptions } from './support/site.ts';

const MODELS = { chat: { from: [{ endpoint: 'near/m', weight: 1 }] } };
const NEAR = loopbackProvider({ id: 'near', url: 'http://127.0.0.1:9', models: { m: 'c3' } });
const GOOD: GovernanceDrafts = { providers: [NEAR], models: MODELS };

function folder(t: TestContext): string {
  const root = mkdtempSync(path.join(os.tmpdir(), 'sekisho-first-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

/** A first start that is refused adopts nothing, and the next one with the mistake mended runs. */
async function refusedThenMended(root: string, wrong: SiteOptions, problem: RegExp): Promise<void> {
  await assert.rejects(startSite({ root, governance: GOOD, ...wrong }), problem);
  assert.ok(!existsSync(path.join(root, 'data', 'governance', 'running.json')), 'nothing was adopted');
  await using site = await startSite({ root, governance: GOOD });
  const ready = await site.call('/readyz');
  assert.equal(ready.status, 200);
  assert.match(ready.text, /"name":"space","state":"(ok|warning)"/);
}

test('a kind that no adapter speaks refuses the first start, and a corrected draft starts', async (t) => {
  const bedrock = { ...GOOD, providers: [{ ...NEAR, kind: 'bedrock' }] };
  await refusedThenMended(folder(t), { governance: bedrock }, /near\/m: no adapter speaks bedrock/);
});

test('a version that a provider has no use for refuses the first start, and a corrected draft starts', async (t) => {
  const versioned = { ...GOOD, providers: [{ ...NEAR, apiVersion: '2024-10-21' }] };
  await refusedThenMended(
    folder(t),
    { governance: versioned },
    /near\/m: a provider of kind openai has no apiVersion/,
  );
});

test('a secret that the configuration lacks refuses the first start, and a corrected draft starts', async (t) => {
  const locked = { ...GOOD, providers: [{ ...NEAR, secret: 'far-key' }] };
  await refusedThenMended(folder(t), { governance: locked }, /near\/m needs the secret "far-key"/);
});

test('a database that cannot be opened refuses the first start, and a corrected configuration starts', async (t) => {
  const config = { storage: { url: 'postgres://nobody@127.0.0.1:9/none' } };
  await refusedThenMended(folder(t), { config }, /ended before it was ready/);
});

test('drafts whose own tests do not hold refuse the first start, and corrected drafts start', async (t) => {
  const root = folder(t);
  const tests = path.join(root, 'governance', 'tests');
  mkdirSync(tests, { recursive: true });
  writeFileSync(
    path.join(tests, 'near.yaml'),
    '- {name: planted, model: chat, label: c3, deny: {near/m: []}}\n',
  );
  await assert.rejects(
    startSite({ root, governance: GOOD }),
    /policy tests do not hold: "planted": near\/m: expected deny, found allow/,
  );
  rmSync(tests, { recursive: true });
  await using site = await startSite({ root, governance: GOOD });
  assert.equal((await site.call('/readyz')).status, 200);
});

test('a start on data that another process holds writes nothing there', async (t) => {
  const root = folder(t);
  const data = path.join(root, 'data');
  mkdirSync(data);
  const held = lockFile(path.join(data, 'lock.db'));
  await assert.rejects(startSite({ root, governance: GOOD }), /another process holds .*lock\.db/);
  for (const name of ['keys', 'governance', 'ledger', 'sekisho.db'])
    assert.ok(!existsSync(path.join(data, name)), name);
  held[Symbol.dispose]();
  await using site = await startSite({ root, governance: GOOD });
  assert.equal((await site.call('/readyz')).status, 200);
});

test('of two first starts at once one runs, and the bundle names the signer that is kept', async (t) => {
  const root = folder(t);
  const ports = [await freePort(), await freePort()];
  const started = await Promise.allSettled(ports.map((port) => startSite({ root, governance: GOOD, port })));
  const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assert.equal(running.length, 1);
  const kept = parseSigner(readFileSync(path.join(root, 'data/keys/policy-signer.key'), 'utf8').trim());
  const bundle = readFileSync(path.join(root, 'data/governance/running.json'), 'utf8');
  assert.ok(bundle.includes(formatVkey(kept.vkey)));
  await running[0]?.stop({ keep: true });
});

test('the name of the first signer is durable before a bundle that names it', async (t) => {
  const root = folder(t);
  const trace = path.join(root, 'trace');
  const wrap = ['strace', '-f', '-yy', '-s', '4096', '-o', trace, '-e', 'trace=/^rename,fsync'];
  const site = await startSite({ root, governance: GOOD, wrap });
  await site.stop({ keep: true });
  const lines = readFileSync(trace, 'utf8').split('\n');
  const after = (from: number, pattern: RegExp): number => {
    const found = lines.findIndex((line, at) => at > from && pattern.test(line));
    assert.notEqual(found, -1, `${pattern} after line ${from}`);
    return found;
  };
  const named = after(-1, /rename.*policy-signer\.key"/);
  const synced = Math.max(
    after(named, /fsync\(\d+<[^>]*\/data\/keys>/),
    after(named, /fsync\(\d+<[^>]*\/data>/),
  );
  assert.ok(synced < after(-1, /rename.*running\.json"/), 'both folders are synced before the bundle runs');
});

test('an anchor inside the data directory is refused, also by another name', async (t) => {
  const root = folder(t);
  for (const anchor of [path.join(root, 'data', 'anchor'), path.join(root, 'governance', '..', 'data')])
    await assert.rejects(
      startSite({ root, governance: GOOD, config: { ledger: { anchor } } }),
      /before it was ready: 2[\s\S]*ledger\.anchor: expected a directory outside the data directory/,
    );
  assert.ok(!existsSync(path.join(root, 'data', 'anchor')));
  await using site = await startSite({ root, governance: GOOD });
  assert.match((await site.call('/readyz')).text, /"name":"anchor","state":"ok"/);
});

test('a home in which nothing can be kept, or that holds the data, costs the anchor and not the start', async (t) => {
  const root = folder(t);
  for (const state of ['/proc/nobody', path.join(root, 'data', 'state')]) {
    const site = await startSite({ root, governance: GOOD, env: { XDG_STATE_HOME: state } });
    assert.match((await site.call('/readyz')).text, /"name":"anchor","state":"warning"/);
    assert.match(site.stderr(), /"event":"ledger\.no_anchor"/);
    await site.stop({ keep: true });
  }
});
