import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { decodeBatch, encodeBatch, SEGMENT_HEADER_BYTES } from '../src/ledger/segment.ts';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { forEach, holdReceipt, LogMemory } from './support/crash.ts';
import { askInTurn, chatOver } from './support/load.ts';
import type { Exchange } from './support/load.ts';
import { allClients } from './support/clients/all.ts';
import type { Client } from './support/clients/client.ts';
import { startProvider } from './support/provider.ts';
import type { Provider } from './support/provider.ts';
import { startSite } from './support/site.ts';
import type { Site, SiteOptions } from './support/site.ts';
import { denyUntilFull, mountSmallDisk } from './support/small-disk.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
/** Two write-ahead segments, the database, and little else. */
const SMALL_DISK = 'size=48m';

test('a full disk: nothing is dispatched, nothing acknowledged is lost, and space brings service back', async (t) => {
  await using provider = await startProvider();
  const root = temporary(t);
  await using disk = await mountSmallDisk(root, SMALL_DISK);
  await using site = await startSite({ ...disk.options, ...chatOver(provider) });
  const memory = await LogMemory.of(site);
  const answered = await askInTurn(site, 4);
  const denied = await denyUntilFull(site, path.join(disk.data, 'filler'));

  const seen = provider.bytes;
  const [refused] = await askInTurn(site, 1);
  assert.equal(refused?.status, 503);
  assert.match(refused.response.toString(), /"code":"evidence_unavailable"/);
  assert.equal(refused.rid, null);
  assert.equal(provider.bytes, seen);
  assert.equal((await site.call('/readyz')).status, 503);

  rmSync(path.join(disk.data, 'filler'));
  answered.push(await askUntilServed(site));
  assert.equal((await site.call('/readyz')).status, 200);
  await forEach(answered, async (one) => void (await holdReceipt(site, memory, one.rid ?? '', one)));
  await forEach(denied.slice(-50), async ({ rid, body, canary }) => {
    const receipt = await site.call(`/v1/receipts/${rid}`);
    const verdict = await verifyReceipt(
      Buffer.from(receipt.text),
      { vkeys: [memory.vkey] },
      { request: body },
    );
    assert.deepEqual([verdict.verdict, verdict.state], ['valid', 'closed'], canary);
  });
  await memory.hold(site);
});

test('a torn end of the write-ahead log is cut, and all that was acknowledged is there', async (t) => {
  await using provider = await startProvider();
  const { options, memory, answered } = await killed(t, provider);
  const { file, bytes, end, next } = writeAheadLog(options.root, memory);
  const torn = encodeBatch(next.batch, next.index, [Buffer.from('{"kind":"decision"}')]);
  bytes.set(torn.subarray(0, torn.length - 5), end);
  writeFileSync(file, bytes);
  await using site = await startSite(options);
  assert.match(site.stderr(), /ledger\.torn_tail_cut/);
  await memory.hold(site);
  const all = [...answered, ...(await askInTurn(site, 2))];
  await forEach(all, async (one) => void (await holdReceipt(site, memory, one.rid ?? '', one)));
});

test('a flipped byte amid the write-ahead log keeps the site from starting, and the file is named', async (t) => {
  await using provider = await startProvider();
  const { options, memory } = await killed(t, provider);
  const { file, bytes } = writeAheadLog(options.root, memory);
  const place = SEGMENT_HEADER_BYTES + 100;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await assert.rejects(
    startSite(options),
    refusal(`${file}: the batch at offset ${SEGMENT_HEADER_BYTES} is damaged`),
  );
});

test('a clock set back: nothing is dispatched until it has caught up', async (t) => {
  await using provider = await startProvider();
  await using site = await startSite({
    root: temporary(t),
    ...chatOver(provider),
    program: PLANTED_SITE,
    env: { PLANT: 'clock' },
  });
  assert.equal((await askInTurn(site, 1))[0]?.status, 200);
  const seen = provider.bytes;
  await setClock(site, /clock 3600000/);
  const [refused] = await askInTurn(site, 1);
  assert.equal(refused?.status, 503);
  assert.match(refused.response.toString(), /"code":"evidence_unavailable"/);
  const held = new AsyncDisposableStack();
  t.after(async () => held.disposeAsync());
  for (const client of allClients(held)) await refusesEvidence(client, site);
  assert.equal(provider.bytes, seen);
  await setClock(site, /clock 0/);
  assert.equal((await askInTurn(site, 1))[0]?.status, 200);
});

test('a second site on the same DATA is refused, and the first goes on', async (t) => {
  await using provider = await startProvider();
  const options = { root: temporary(t), ...chatOver(provider) };
  await using site = await startSite(options);
  await assert.rejects(startSite(options), refusal('another process holds'));
  assert.equal((await askInTurn(site, 1))[0]?.status, 200);
});

test('a port in use is named', async (t) => {
  await using provider = await startProvider();
  const options = { root: temporary(t), ...chatOver(provider), port: provider.port };
  await assert.rejects(startSite(options), refusal(`port ${provider.port} on 127.0.0.1 is in use`));
});

test('a data directory that cannot be written is named', async (t) => {
  await using provider = await startProvider();
  const root = temporary(t);
  await using disk = await mountSmallDisk(root, 'ro');
  const starting = startSite({ ...disk.options, ...chatOver(provider) });
  await assert.rejects(starting, refusal(`cannot use the data directory ${path.join(root, 'data')}`));
});

/** The start failed with exit 1, printed nothing on standard output and `message` on standard error. */
function refusal(message: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error);
    const [how, , out, , ...err] = error.message.split('\n');
    assert.deepEqual([how, out], ['ended before it was ready: 1', '']);
    assert.ok(err.join('\n').includes(message), error.message);
    return true;
  };
}

async function askUntilServed(site: Site): Promise<Exchange> {
  for (let round = 0; round < 100; round++) {
    const [exchange] = await askInTurn(site, 1);
    if (exchange?.status === 200) return exchange;
    await delay(100);
  }
  throw new Error('not served again although there is space');
}

// Left to retry as it likes, a client must not: the reply says that it would be in vain.
async function refusesEvidence(client: Client, site: Site): Promise<void> {
  const { error } = await client.ask({
    key: site.adminKey,
    url: site.url,
    below: '',
    do: 'chat',
    arguments: { model: 'chat', messages: [{ role: 'user', content: 'hello' }] },
    headers: {},
    // The others do not read that header.
    retries: client.wire ? null : 0,
    fill: 0,
  });
  assert.deepEqual([error?.status, error?.code], [503, 'evidence_unavailable']);
  assert.deepEqual(error?.retry, { 'x-should-retry': 'false' });
}

async function setClock(site: Site, told: RegExp): Promise<void> {
  process.kill(site.pid, 'SIGUSR2');
  while (!told.test(site.stderr())) await delay(10);
}

interface Killed {
  readonly options: SiteOptions & { readonly root: string };
  readonly memory: LogMemory;
  readonly answered: readonly Exchange[];
}

async function killed(t: TestContext, provider: Provider): Promise<Killed> {
  const options = { root: temporary(t), ...chatOver(provider) };
  const site = await startSite(options);
  const memory = await LogMemory.of(site);
  const answered = await askInTurn(site, 4);
  await site.kill('SIGKILL');
  return { options, memory, answered };
}

/** The last segment of a site that is not running, and where its batches end. */
function writeAheadLog(
  root: string,
  { logId }: LogMemory,
): { file: string; bytes: Buffer; end: number; next: { batch: number; index: number } } {
  const folder = path.join(root, 'data', 'ledger', logId, 'wal');
  const name =
    readdirSync(folder)
      .filter((one) => one.endsWith('.wal'))
      .toSorted()
      .at(-1) ?? '';
  const file = path.join(folder, name);
  const bytes = readFileSync(file);
  let [end, next] = [SEGMENT_HEADER_BYTES, { batch: 0, index: 0 }];
  for (let found = decodeBatch(bytes, end); found !== null; found = decodeBatch(bytes, end)) {
    end = found.end;
    next = { batch: found.batch + 1, index: found.firstIndex + found.entries.length };
  }
  return { file, bytes, end, next };
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-faults-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
