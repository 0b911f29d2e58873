import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodeBatch } from '../src/ledger/segment.ts';
import { chatOver, drive } from './support/load.ts';
import type { Exchange } from './support/load.ts';
import { startProvider } from './support/provider.ts';
import { startSite } from './support/site.ts';
import { orderViolations, TRACER } from './support/strace.ts';
import type { TracedRun } from './support/strace.ts';

const PLANTED_SITE = fileURLToPath(new URL('./support/planted-site.ts', import.meta.url));
const REQUESTS = 200;
const CONCURRENCY = 16;

test('under load every decision is durable before the first byte leaves, every outcome before the answer ends', async (t) => {
  const { trace, run } = await traceSite(t, REQUESTS, {});
  assert.equal(run.requests.length, REQUESTS);
  assert.deepEqual(orderViolations(trace, run), []);
});

test('with the sync taken out the same check finds every request at fault', async (t) => {
  const { trace, run } = await traceSite(t, REQUESTS / 4, planted('no-sync'));
  const found = orderViolations(trace, run);
  for (const { canary } of run.requests) {
    assert.ok(found.includes(`${canary}: its decision was never synced`), canary);
    assert.ok(found.includes(`${canary}: its outcome was never synced`), canary);
  }
});

test('with a sync that nobody waits for the same check finds requests that left too early', async (t) => {
  const { trace, run } = await traceSite(t, REQUESTS / 4, planted('late-sync'));
  const found = orderViolations(trace, run).join('\n');
  assert.match(found, /its first byte left before the sync of its decision returned/);
  assert.match(found, /its answer ended before the sync of its outcome returned/);
});

const RID = `r_${'0'.repeat(26)}`;
const OTHER = `r_${'1'.repeat(26)}`;
const RUN: TracedRun = {
  sitePort: 7000,
  providerPort: 7001,
  requests: [{ canary: 'canary-1', rid: RID, stream: true }],
};
const WAL = '33</d/000000000001.wal>';
const PROVIDER = '40<TCP:[127.0.0.1:50000->127.0.0.1:7001]>';
const CLIENT = '20<TCP:[127.0.0.1:7000->127.0.0.1:60000]>';

/** A trace in which everything is right, by the name of each step. */
const GOOD = {
  day: written(11, '31</d/day-keys>', Buffer.from('SKD1')),
  daySync: '11 fdatasync(31</d/day-keys>) = 0',
  slot: written(12, '32</d/roads>', Buffer.from(`SKR1${RID}`)),
  slotSync: '11 fdatasync(32</d/roads>) = 0',
  decision: leafWritten(1, 'decision', RID),
  sync: `14 fdatasync(${WAL} <unfinished ...>`,
  wake: '10 write(6<pipe:[77398]>, "*", 1) = 1',
  synced: '14 <... fdatasync resumed>) = 0',
  send: sent(PROVIDER, ['POST /v1/chat/completions HTTP/1.1\r\n\r\n', '{"say \\"canary-1\\""}']),
  head: sent(CLIENT, [`HTTP/1.1 200 OK\r\nsekisho-receipt: ${RID}\r\n\r\n`, 'data: {}\n\n']),
  outcome: leafWritten(2, 'outcome', RID),
  outcomeSync: `12 fdatasync(${WAL}) = 0`,
  end: sent(CLIENT, ['data: [DONE]\n\n']),
};
type Step = keyof typeof GOOD;

test('finds nothing in a trace whose order is right', () => {
  assert.deepEqual(orderViolations(traceOf(Object.values(GOOD)), RUN), []);
});

const PLANTED: readonly (readonly [what: string, lines: readonly string[], found: RegExp])[] = [
  ['a missing sync', without('sync', 'synced', 'outcomeSync'), /decision was never synced/],
  [
    'a sync that failed',
    changed('synced', '14 <... fdatasync resumed>) = -1 EIO (error)'),
    /first byte left before/,
  ],
  ['a sync that never returned', without('synced', 'outcomeSync'), /decision was never synced/],
  ['a sync begun before the write', moved('decision', 'synced'), /first byte left before/],
  [
    'a sync of another file',
    changed('sync', '14 fdatasync(9</d/other> <unfinished ...>'),
    /first byte left before/,
  ],
  ['a byte sent while the sync runs', moved('send', 'synced'), /first byte left before/],
  ['a head sent before, the body after', [...splitHead()], /first byte left before/],
  ['a body without a head', changed('send', sent(PROVIDER, ['canary-1'])), /without the head/],
  [
    'another request in its place',
    changed('decision', leafWritten(1, 'decision', OTHER)),
    /no write of its decision/,
  ],
  [
    'a decision written in part',
    changed('decision', GOOD.decision.replace(/= \d+$/, '= 5')),
    /no write of its decision/,
  ],
  ['a request key synced late', moved('slotSync', 'send'), /before its request key/],
  ['a day key that is never synced', without('daySync'), /before its request key/],
  ['an answer that ends too early', moved('end', 'outcomeSync'), /answer ended before/],
  ['an outcome that is not written', without('outcome'), /no write of its outcome/],
  [
    'a prompt in a log',
    [...Object.values(GOOD), '10 write(2<pipe:[1]>, "canary-1", 8) = 8'],
    /written to 2<pipe/,
  ],
  ['a request that never left', without('send'), /never left/],
];

for (const [what, lines, found] of PLANTED)
  test(`finds ${what}`, () => assert.match(orderViolations(traceOf(lines), RUN).join('\n'), found));

/** The same with descriptors whose every write is synced: no sync stands in it. */
const OPENED = 'O_RDWR|O_CREAT|O_CLOEXEC|O_DSYNC';
const SYNCED = [
  opened('/d/day-keys', 31, OPENED),
  opened('/d/roads', 32, OPENED),
  `13 openat(AT_FDCWD</>, "/d/000000000001.wal.new", ${OPENED}, 0600 <unfinished ...>`,
  '10 write(6<pipe:[77398]>, "*", 1) = 1',
  '13 <... openat resumed>) = 33</d/000000000001.wal.new>',
  ...without('daySync', 'slotSync', 'sync', 'synced', 'outcomeSync'),
];

test('finds nothing where each write is synced by its own descriptor', () => {
  assert.deepEqual(orderViolations(traceOf(SYNCED), RUN), []);
});

const PLANTED_SYNCED: readonly (readonly [what: string, lines: readonly string[], found: RegExp])[] = [
  [
    'a descriptor opened without the flag',
    SYNCED.map((line) => line.replace('|O_DSYNC, 0600 <', ', 0600 <')),
    /decision was never synced/,
  ],
  [
    'the flag in the name alone',
    SYNCED.map((line) => (line.includes('/d/roads", ') ? opened('/d/O_DSYNC', 32, 'O_RDWR') : line)),
    /before its request key/,
  ],
  ['a descriptor nobody saw opened', SYNCED.slice(1), /before its request key/],
  [
    'a descriptor that was closed and opened again without it',
    SYNCED.flatMap((line) =>
      line === GOOD.outcome
        ? [`10 close(${WAL}) = 0`, opened('/d/000000000001.wal', 33, 'O_RDWR'), line]
        : [line],
    ),
    /outcome was never synced/,
  ],
  [
    'a synced write that failed',
    SYNCED.map((line) => (line === GOOD.decision ? line.replace(/= \d+$/, '= -1 EIO (error)') : line)),
    /no write of its decision/,
  ],
  [
    'a byte sent while the synced write runs',
    SYNCED.flatMap((line) => {
      if (line === GOOD.send) return [];
      if (line !== GOOD.decision) return [line];
      const [begun = '', result = ''] = line.split(/(?=\) = \d+$)/);
      return [`${begun} <unfinished ...>`, GOOD.send, `13 <... pwrite64 resumed>${result}`];
    }),
    /first byte left before/,
  ],
];

for (const [what, lines, found] of PLANTED_SYNCED)
  test(`finds ${what}`, () => assert.match(orderViolations(traceOf(lines), RUN).join('\n'), found));

function opened(file: string, descriptor: number, flags: string): string {
  return `11 openat(AT_FDCWD</>, "${file}", ${flags}, 0600) = ${descriptor}<${file}>`;
}

function without(...steps: readonly Step[]): readonly string[] {
  const all: readonly (readonly [string, string])[] = Object.entries(GOOD);
  return all.flatMap(([step, line]) => (steps.some((one) => one === step) ? [] : [line]));
}

function changed(step: Step, line: string): readonly string[] {
  return Object.values({ ...GOOD, [step]: line });
}

/** The step comes directly before `before`, or after it when it stood there already. */
function moved(step: Step, target: Step): readonly string[] {
  const rest = [...without(step)];
  const place = rest.indexOf(GOOD[target]);
  const all = Object.values(GOOD);
  const later = all.indexOf(GOOD[step]) < all.indexOf(GOOD[target]);
  rest.splice(later ? place + 1 : place, 0, GOOD[step]);
  return rest;
}

function splitHead(): readonly string[] {
  const head = sent(PROVIDER, ['POST /v1/chat/completions HTTP/1.1\r\n']);
  const lines = [...changed('send', sent(PROVIDER, ['\r\ncanary-1']))];
  lines.splice(lines.indexOf(GOOD.synced), 0, head);
  return lines;
}

function leafWritten(batch: number, kind: 'decision' | 'outcome', rid: string): string {
  return written(13, WAL, encodeBatch(batch, batch, [Buffer.from(JSON.stringify({ kind, rid }))]));
}

function written(thread: number, target: string, bytes: Buffer): string {
  const { length } = bytes;
  return `${thread} pwrite64(${target}, ${quoted(bytes.toString('latin1'))}, ${length}, 0) = ${length}`;
}

function sent(target: string, pieces: readonly string[]): string {
  const vector = pieces.map((piece) => `{iov_base=${quoted(piece)}, iov_len=${piece.length}}`).join(', ');
  return `10 writev(${target}, [${vector}], ${pieces.length}) = ${pieces.join('').length}`;
}

function quoted(bytes: string): string {
  const shown = (code: number): string =>
    code < 32 || code > 126 || code === 34 || code === 92
      ? `\\${code.toString(8).padStart(3, '0')}`
      : String.fromCharCode(code);
  return `"${Array.from(bytes, (one) => shown(one.charCodeAt(0))).join('')}"`;
}

function traceOf(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

function planted(plant: string): {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
} {
  return { program: PLANTED_SITE, env: { PLANT: plant } };
}

async function traceSite(
  t: TestContext,
  count: number,
  how: { readonly program?: string; readonly env?: Readonly<Record<string, string>> },
): Promise<{ readonly trace: string; readonly run: TracedRun }> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-trace-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'trace');
  await using provider = await startProvider();
  const site = await startSite({
    ...chatOver(provider),
    wrap: [...TRACER, '-o', file],
    ...how,
  });
  const exchanges: Exchange[] = [];
  await drive(site, { concurrency: CONCURRENCY, count }, exchanges);
  assert.deepEqual(await site.stop(), { code: 0, signal: null });
  const requests = exchanges.map(({ canary, stream, rid, status, whole }) => {
    assert.ok(status === 200 && whole && rid !== null, `${canary}: status ${status}`);
    return { canary, stream, rid };
  });
  const run = { sitePort: site.port, providerPort: provider.port, requests };
  return { trace: readFileSync(file, 'latin1'), run };
}
