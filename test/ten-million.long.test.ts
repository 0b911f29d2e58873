import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { measureDiskSync } from '../bench/disk.ts';
import { summarize } from '../bench/statistics.ts';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { runCli } from './support/cli.ts';

/** @note `LOG_ENTRIES=1000000 npm run test:long -- ten-million` is a shorter one. */
const ENTRIES = Number(process.env['LOG_ENTRIES'] ?? 10_000_000);
const CHILD = fileURLToPath(new URL('./support/big-log-child.ts', import.meta.url));
const MEBIBYTE = 2 ** 20;
const LEAVES_A_REQUEST = 2;

const MAX_START_MS = 3_000;
const MAX_PROOF_MS = 5;
/** What the last quarter may hold more than the second, and a start beside what it holds without a log. */
const MAX_GROWTH_MIB = 64;
const MAX_START_MIB = 512;
const RECEIPTS = 1_000;
const VERIFIED = 50;
const STARTS = 3;
/** Leaves that are written before a kill, at full speed. */
const BEFORE_KILL = 200_000;

interface Said {
  readonly size?: number;
  readonly rss?: number;
  readonly ms?: number;
  readonly rid?: string;
  readonly vkey?: string;
  readonly logId?: string;
  readonly receipt?: object | null;
}

test(`a log of ${ENTRIES} entries starts, proves and stays within memory as a small one`, async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-big-log-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  diskSync(t, 'before');
  const { rids, memory } = await written(t, folder);
  staysFlat(t, memory);
  await started(t, folder);
  const facts = await proven(t, folder, rids);
  sizes(t, folder, facts.size);
  await wholeLog(t, folder, facts);
  await killed(t, folder, facts.size);
  diskSync(t, 'after');
});

/** Writes the log in a process of its own and closes it; gives some of its requests and its memory in MiB. */
async function written(
  t: TestContext,
  folder: string,
): Promise<{ rids: readonly string[]; memory: readonly number[] }> {
  const rids: string[] = [];
  const memory: number[] = [];
  const begun = performance.now();
  const child = start('write', folder, ENTRIES);
  for await (const { rid, size, rss } of saidBy(child)) {
    if (rid !== undefined) rids.push(rid);
    if (size === undefined || rss === undefined) continue;
    memory.push(rss / MEBIBYTE);
    const rate = (size * 1000) / (performance.now() - begun);
    console.error(`${size} of ${ENTRIES} entries, ${rate.toFixed(0)}/s, ${(rss / MEBIBYTE).toFixed(0)} MiB`);
    if (size >= ENTRIES) break;
  }
  await ended(child, 'close\n');
  const seconds = (performance.now() - begun) / 1000;
  t.diagnostic(`${ENTRIES} entries in ${seconds.toFixed(0)} s, ${(ENTRIES / seconds).toFixed(0)}/s`);
  return { rids, memory };
}

function staysFlat(t: TestContext, memory: readonly number[]): void {
  const quarter = Math.floor(memory.length / 4);
  const growth = mean(memory.slice(-quarter)) - mean(memory.slice(quarter, 2 * quarter));
  t.diagnostic(`resident while writing: ${Math.max(...memory).toFixed(0)} MiB at most`);
  t.diagnostic(`last quarter over the second: ${growth.toFixed(1)} MiB`);
  assert.ok(growth < MAX_GROWTH_MIB, `${growth} MiB more`);
}

/** Several starts, each in a process of its own. */
async function started(t: TestContext, folder: string): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) times.push((await lookedAt(folder, [])).ms);
  fastest(t, 'start after the log was closed', times);
}

// What else the machine does can only make a start longer.
function fastest(t: TestContext, what: string, times: readonly number[]): void {
  const all = times.map((ms) => `${ms.toFixed(0)} ms`).join(', ');
  t.diagnostic(`${what}: ${all}, bound ${MAX_START_MS} ms, load average ${os.loadavg()[0]?.toFixed(1)}`);
  assert.ok(Math.min(...times) <= MAX_START_MS, `${what}: ${all}`);
}

async function proven(t: TestContext, folder: string, rids: readonly string[]): Promise<Looked> {
  const every = Math.max(1, Math.floor(rids.length / RECEIPTS));
  const chosen = rids.filter((_, at) => at % every === 0).toSorted(() => Math.random() - 0.5);
  const looked = await lookedAt(folder, chosen);
  report(t, `receipt with its proofs, of ${looked.proofs.length}`, looked.proofs);
  assert.equal(looked.proofs.length, chosen.length);
  const invalid = [];
  for (const receipt of looked.receipts.slice(0, VERIFIED)) {
    const { verdict } = await verifyReceipt(Buffer.from(JSON.stringify(receipt)), { vkeys: [looked.vkey] });
    if (verdict !== 'valid') invalid.push(receipt);
  }
  assert.deepEqual(invalid, []);
  t.diagnostic(`resident after a start and ${chosen.length} receipts: ${looked.mebibytes.toFixed(0)} MiB`);
  assert.ok(looked.mebibytes < MAX_START_MIB);
  return looked;
}

/** Killed while it writes as fast as it can, so that its index and tiles are behind. */
async function killed(t: TestContext, folder: string, before: number): Promise<void> {
  const times: number[] = [];
  for (let size = before, i = 0; i < STARTS; i++) {
    const child = start('write', folder, size + 2 * BEFORE_KILL);
    for await (const said of saidBy(child)) if ((said.size ?? 0) > size + BEFORE_KILL) break;
    child.kill('SIGKILL');
    await ended(child);
    const looked = await lookedAt(folder, []);
    assert.ok(looked.size >= size + BEFORE_KILL, 'what was acknowledged is there');
    times.push(looked.ms);
    ({ size } = looked);
  }
  fastest(t, 'start after a kill under full load', times);
}

function sizes(t: TestContext, folder: string, size: number): void {
  const data = path.join(folder, 'data');
  const requests = size / LEAVES_A_REQUEST;
  const parts: Record<string, number> = {};
  for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(path.join(data, name));
    const part = /tile\/entries|tile|wal|roads|day-keys|sekisho\.db/.exec(name)?.[0] ?? 'other';
    // What the disk gives up for it, not what the file is long.
    if (stat.isFile()) parts[part] = (parts[part] ?? 0) + stat.blocks * 512;
  }
  const whole = Object.values(parts).reduce((sum, one) => sum + one, 0);
  const each = (bytes: number): string => `${Math.round(bytes / requests)} bytes`;
  const rows = Object.entries(parts).map(([name, bytes]) => `${name} ${each(bytes)}`);
  t.diagnostic(`a request takes ${each(whole)}: ${rows.join(', ')}`);
}

async function wholeLog(t: TestContext, folder: string, { vkey, logId }: Looked): Promise<void> {
  const begun = performance.now();
  const log = path.join(folder, 'data', 'ledger', logId);
  const ran = await runCli(['ledger', 'check', log, '--key', vkey], { cwd: folder, env: {} });
  assert.equal(ran.code, 0, ran.out + ran.err);
  t.diagnostic(
    `ledger check: ${((performance.now() - begun) / 1000).toFixed(0)} s, ${ran.out.split('\n')[1]}`,
  );
}

interface Looked {
  readonly size: number;
  /** Milliseconds until the log was open. */
  readonly ms: number;
  readonly vkey: string;
  readonly logId: string;
  readonly mebibytes: number;
  readonly proofs: readonly number[];
  readonly receipts: readonly object[];
}

async function lookedAt(folder: string, rids: readonly string[]): Promise<Looked> {
  const child = start('start', folder);
  child.stdin.end(rids.map((rid) => `${rid}\n`).join(''));
  let opened: Said = {};
  let last: Said = {};
  const proofs: number[] = [];
  const receipts: object[] = [];
  for await (const said of saidBy(child)) {
    if (said.size !== undefined) opened = said;
    last = said;
    if (said.rid === undefined) continue;
    assert.ok(said.receipt != null, `no receipt of ${said.rid}`);
    proofs.push(said.ms ?? NaN);
    receipts.push(said.receipt);
  }
  await ended(child);
  const { size = NaN, ms = NaN, vkey = '', logId = '' } = opened;
  return { size, ms, vkey, logId, mebibytes: (last.rss ?? NaN) / MEBIBYTE, proofs, receipts };
}

function start(verb: string, folder: string, count = 0): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [CHILD, verb, folder, String(count)], { stdio: 'pipe' });
  child.stderr.pipe(process.stderr);
  // A test that fails in the middle leaves nothing running behind it.
  const killWithTest = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithTest);
  child.once('exit', () => process.off('exit', killWithTest));
  return child;
}

async function* saidBy(child: ChildProcessWithoutNullStreams): AsyncGenerator<Said> {
  // Each line is an object of the child's own.
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Said;
}

async function ended(child: ChildProcessWithoutNullStreams, last = ''): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.stdout.resume();
  if (last !== '') child.stdin.end(last);
  await exit;
}

function report(t: TestContext, what: string, times: readonly number[]): void {
  const { p50, p99 } = summarize(times);
  t.diagnostic(`${what}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, bound ${MAX_PROOF_MS} ms`);
  assert.ok(p50 <= MAX_PROOF_MS, `${what}: ${p50} ms`);
}

function diskSync(t: TestContext, when: string): void {
  const { p50, p99 } = measureDiskSync();
  t.diagnostic(`disk sync of 1 KiB ${when}: p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}
