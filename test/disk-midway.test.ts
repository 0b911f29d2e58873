import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { holdReceipt, LogMemory } from './support/crash.ts';
import { ask, askInTurn, chatOver, newExchange } from './support/load.ts';
import type { Exchange } from './support/load.ts';
import { startProvider } from './support/provider.ts';
import type { Provider } from './support/provider.ts';
import type { Wire } from './support/provider-behaviour.ts';
import { startSite } from './support/site.ts';
import type { Site } from './support/site.ts';
import { denyUntilFull, mountSmallDisk } from './support/small-disk.ts';

/** Two write-ahead segments, the database, and little else. */
const SMALL_DISK = 'size=48m';

/** An outcome is smaller than a decision: a few may still fit where no decision does. */
const HELD = 6;

for (const stream of [true, false]) {
  const what = stream ? 'streams' : 'plain answers';
  test(`a disk that fills while ${what} run: they are cut without an end, and their receipts stay open`, async (t) => {
    const root = mkdtempSync(path.join(os.tmpdir(), 'sekisho-midway-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    await using provider = await startProvider();
    await using disk = await mountSmallDisk(root, SMALL_DISK);
    const filler = path.join(disk.data, 'filler');
    const site = await startSite({ ...disk.options, ...chatOver(provider) });
    t.after(() => site.kill('SIGKILL'));
    const memory = await LogMemory.of(site);

    const running = await askAll(site, provider, stream);
    await denyUntilFull(site, filler);
    for (const { wire, ended } of running) {
      end(wire);
      await ended;
    }
    const cut = running.filter(({ exchange }) => !exchange.whole);
    assert.ok(cut.length > 0 && cut.at(-1) === running.at(-1), 'the last finds no space');
    assert.match(site.stderr(), /gateway\.outcome_not_recorded/);
    for (const { exchange } of cut) {
      assert.ok(!exchange.response.includes('[DONE]'));
      assert.equal(exchange.status, stream ? 200 : null);
    }
    await refusesOthers(site, provider);

    rmSync(filler);
    const open = await openRoads(site, memory);
    assert.equal(open.length, cut.length);
    if (stream) assert.deepEqual(new Set(open), new Set(cut.map(({ exchange }) => exchange.rid)));
    for (const rid of open) assert.equal(await stateOf(site, memory, rid), 'open');
    await site.kill('SIGTERM');

    await using again = await startSite(disk.options);
    await endAsUnknown(again, memory, open);
    const whole = running.filter(({ exchange }) => exchange.whole);
    for (const { exchange } of whole) await holdReceipt(again, memory, exchange.rid ?? '', exchange);
    assert.equal((await askInTurn(again, 1))[0]?.status, 200);
    await memory.hold(again);
  });
}

async function refusesOthers(site: Site, provider: Provider): Promise<void> {
  const seen = provider.bytes;
  const [refused] = await askInTurn(site, 1);
  assert.equal(refused?.status, 503);
  assert.match(refused.response.toString(), /"code":"evidence_unavailable"/);
  assert.equal(provider.bytes, seen);
}

async function endAsUnknown(site: Site, memory: LogMemory, roads: readonly string[]): Promise<void> {
  for (const rid of roads) assert.equal(await stateOf(site, memory, rid), 'closed');
  const leaves = await memory.leaves(site);
  for (const rid of roads) {
    const last = leaves.findLast((leaf) => leaf.rid === rid);
    assert.deepEqual([last?.kind, last?.status], ['outcome', 'unknown']);
  }
}

interface Running {
  readonly exchange: Exchange;
  readonly wire: Wire;
  /** Resolves when the client has the whole answer or sees it cut. */
  readonly ended: Promise<void>;
}

/** Asks until `HELD` answers have begun, and stand still. */
async function askAll(site: Site, provider: Provider, stream: boolean): Promise<readonly Running[]> {
  const running: Running[] = [];
  for (let number = 0; number < HELD; number++) {
    const { promise: held, resolve: hold } = Promise.withResolvers<Wire>();
    provider.behave({ kind: 'raw', send: (wire) => (begin(wire), hold(wire)) });
    const exchange = newExchange({ stream });
    const ended = ask(site, exchange).catch(() => {});
    running.push({ exchange, wire: await held, ended });
  }
  return running;
}

/** A head, and half of a stream. */
function begin({ socket, stream, events }: Wire): void {
  const type = stream ? 'text/event-stream' : 'application/json';
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`);
  if (stream) socket.write(piece(events.slice(0, 2).join('')));
}

function end({ socket, stream, whole, events }: Wire): void {
  socket.end(`${piece(stream ? events.slice(2).join('') : whole)}0\r\n\r\n`);
}

function piece(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/** The roads that were allowed and have no outcome; a client that got no head learns the id from the log. */
async function openRoads(site: Site, memory: LogMemory): Promise<readonly string[]> {
  const leaves = await memory.leaves(site);
  const closed = new Set(leaves.filter(({ kind }) => kind === 'outcome').map(({ rid }) => rid));
  const open = leaves.filter((leaf) => leaf.effect === 'allow' && !closed.has(leaf.rid));
  return open.map(({ rid }) => rid ?? '');
}

async function stateOf(site: Site, memory: LogMemory, rid: string): Promise<string> {
  const receipt = await site.call(`/v1/receipts/${rid}`);
  const verdict = await verifyReceipt(Buffer.from(receipt.text), { vkeys: [memory.vkey] }, {});
  assert.deepEqual([verdict.verdict, verdict.reasons], ['valid', []], receipt.text);
  return verdict.state ?? '';
}
