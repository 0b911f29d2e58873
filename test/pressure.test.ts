import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { drive, type Exchange } from './support/load.ts';
import { allLeaves, residentBytes, until } from './support/observe.ts';
import { startProvider } from './support/provider.ts';
import { chatBody, oneModel } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const MEBIBYTE = 1024 * 1024;
const EXIT_MS = 10_000;
const CANCEL_MS = 100;
const WORKERS = 24;
const RELOADS = 10;
const READERS = 16;

test('a configuration that changes again and again under load loses no request', async (t) => {
  await using home = await startProvider({ behaviour: { kind: 'drip', everyMs: 2 } });
  await using site = await startSite({
    governance: oneModel([{ id: 'home', provider: home }]),
    config: { server: {} },
  });
  const over = new AbortController();
  const asked: Exchange[] = [];
  const load = drive(site, { concurrency: WORKERS, signal: over.signal }, asked);
  for (let i = 1; i <= RELOADS; i++) {
    const before = asked.length;
    // Fewer places than requests, then more again: who waits while that changes is served.
    edit(site, { routing: { concurrency: i % 2 === 0 ? 256 : 4 }, server: { hosts: [`h${i}.example`] } });
    await until(() => reloadsOf(site) >= i, 'the file is taken over');
    await until(() => asked.length >= before + WORKERS, 'requests go on');
  }
  over.abort();
  await load;
  t.diagnostic(`${asked.length} requests, ${RELOADS} reloads`);
  assert.deepEqual(
    asked.filter(({ status, whole }) => status !== 200 || !whole),
    [],
  );
  for (const { stream, response } of asked)
    if (stream) assert.ok(response.toString().endsWith('data: [DONE]\n\n'));
  const outcomes = (await closedLeaves(site, asked.length)).filter(({ kind }) => kind === 'outcome');
  assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(['ok']));
});

test('SIGTERM under load: what had begun ends well, in time, and no road stays open', async (t) => {
  await using home = await startProvider({ behaviour: { kind: 'drip', everyMs: 20 } });
  const site = await startSite({ governance: oneModel([{ id: 'home', provider: home }]) });
  const asked: Exchange[] = [];
  const load = drive(site, { concurrency: WORKERS }, asked);
  await until(() => asked.length > 4 * WORKERS, 'the load is under way');
  const begun = performance.now();
  assert.deepEqual(await site.stop({ keep: true }), { code: 0, signal: null });
  assert.ok(performance.now() - begun < EXIT_MS);
  await load;
  const taken = asked.filter(({ status }) => status !== null);
  t.diagnostic(`${taken.length} of ${asked.length} were taken`);
  for (const { status, whole } of taken) assert.deepEqual([status, whole], [200, true]);
  assert.doesNotMatch(site.stderr(), /outcome_not_recorded/);
  await using again = await startSite({ root: site.root });
  const leaves = await closedLeaves(again, taken.length);
  assert.deepEqual(
    leaves.filter(({ kind, status }) => kind === 'outcome' && status !== 'ok'),
    [],
  );
});

test('many clients that do not read hold little memory, and each one that leaves frees its provider', async (t) => {
  await using home = await startProvider({ behaviour: { kind: 'endless-stream' } });
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider: home }]) });
  const resident = residentBytes(site.pid);
  const readers = await Promise.all(Array.from({ length: READERS }, async () => unread(site)));
  await until(async () => {
    const before = home.sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return home.sent === before;
  }, 'nothing is read from the provider any more');
  const grown = (residentBytes(site.pid) - resident) / MEBIBYTE;
  t.diagnostic(`${READERS} clients that do not read: ${grown.toFixed(0)} MiB`);
  assert.ok(grown < 128, `${grown} MiB`);
  const left = performance.now();
  for (const reader of readers) reader.destroy();
  const over = await Promise.all(home.requests.map(async (request) => request.over));
  const took = over.map(({ at }) => at - left).toSorted((a, b) => a - b);
  t.diagnostic(`the provider was left after ${took.map((ms) => ms.toFixed(0)).join()} ms`);
  assert.ok((took[READERS / 2] ?? Number.NaN) < CANCEL_MS, took.join());
  await until(() => home.open === 0, 'no socket to the provider is left over', 15_000);
});

test('a client that leaves while it waits for a place leaves no trace and takes no place', async () => {
  await using home = await startProvider({ behaviour: { kind: 'drip', everyMs: 200 } });
  await using site = await startSite({
    governance: oneModel([{ id: 'home', provider: home }]),
    config: { routing: { concurrency: 1 } },
  });
  const first = post(site, false);
  await home.arrived(1);
  const second = post(site, false);
  const waiting = async (): Promise<string> =>
    /sekisho_endpoint_waiting\{endpoint="home\/m"\} (\d+)/.exec((await site.call('/metrics')).text)?.[1] ??
    '';
  await until(async () => (await waiting()) === '1', 'it waits');
  second.destroy();
  await until(async () => (await waiting()) === '0', 'it waits no more');
  await new Promise((resolve) => first.once('response', resolve));
  first.destroy();
  const leaves = await closedLeaves(site, 1);
  assert.equal(leaves.filter(({ kind }) => kind === 'decision').length, 1);
  assert.equal(home.requests.length, 1);
});

/** The leaves of the log once it holds as many closed roads. */
async function closedLeaves(
  site: Site,
  roads: number,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  let leaves: readonly Readonly<Record<string, unknown>>[] = [];
  await until(async () => {
    leaves = await allLeaves(site);
    return leaves.filter(({ kind }) => kind === 'outcome').length >= roads;
  }, 'every road is closed');
  const [decisions, outcomes] = ['decision', 'outcome'].map((kind) =>
    leaves.filter((leaf) => leaf['kind'] === kind),
  );
  assert.equal(decisions?.length, outcomes?.length);
  return leaves;
}

/** A client of a stream that takes its head and reads no further. */
async function unread(site: Site): Promise<http.ClientRequest> {
  const request = post(site, true);
  await new Promise<void>((resolve) => {
    request.once('response', (response: http.IncomingMessage) => {
      response.on('error', () => {});
      response.pause();
      resolve();
    });
  });
  return request;
}

function post(site: Site, stream: boolean): http.ClientRequest {
  const request = http.request(new URL('/v1/chat/completions', site.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${site.adminKey}`, 'content-type': 'application/json' },
    agent: false,
  });
  request.on('error', () => {});
  return request.end(chatBody('one two three four', { stream }));
}

function edit(site: Site, change: Readonly<Record<string, unknown>>): void {
  const file = path.join(site.root, 'sekisho.yaml');
  // The test wrote the file itself.
  const config = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, stringify({ ...config, ...change }));
}

function reloadsOf(site: Site): number {
  return [...site.stderr().matchAll(/"event":"config\.reloaded"/g)].length;
}
