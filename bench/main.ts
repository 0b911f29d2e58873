import { parseArgs } from 'node:util';
import type { Site } from '../test/support/site.ts';
import { ALL_CELLS, compareCell, peakMebibytes, QUICK_CELLS } from './compare.ts';
import type { CellResult, Contestant } from './compare.ts';
import { comparisonFigures, DIRECT, SEKISHO, type Comparison } from './compare-report.ts';
import { measureDiskSync } from './disk.ts';
import { startLoad, startMock, type Load } from './driver.ts';
import { durableEntries, offlineVerify, policyDecisions } from './in-process.ts';
import { sampleExchange, type SampleExchange } from './sample.ts';
import { describeMachine, loadAverage, residentBytes } from './machine.ts';
import { measureParts } from './parts.ts';
import { startPeers } from './peers.ts';
import { writeReadme } from './readme.ts';
import type { Part } from './cpu.ts';
import { SiteBench, startBenchSite } from './site-bench.ts';
import { textOf, type Figure, type Report, type Round } from './report.ts';
import { median } from './statistics.ts';

const HELP = `usage: npm run bench -- [--quick] [--only NAMES] [--seconds N] [--rounds N] [--json] [--write]
Measures direct, through a site and through its peers in turn. N seconds for each stretch (4), N rounds (3).
--quick   one short round of few kinds of request
--only    whom to compare, separated by commas: direct, sekisho, portkey, litellm, bifrost
--write   puts the report into bench/README.md
`;
const MEBIBYTE = 2 ** 20;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [defaultSeconds, defaultRounds] = values.quick ? ['1', '1'] : ['4', '3'];
const ms = Number(values.seconds ?? defaultSeconds) * 1000;
const roundCount = Number(values.rounds ?? defaultRounds);
const only = values.only?.toLowerCase().split(',') ?? null;
if (values.help) console.log(HELP);
else if (!(ms > 0) || !(roundCount >= 1)) {
  console.error(HELP);
  process.exitCode = 2;
} else {
  const report = await measure();
  console.log(values.json ? JSON.stringify(report, null, 2) : textOf(report));
  if (values.write) writeReadme(textOf(report), process.argv.slice(2));
}

async function measure(): Promise<Report> {
  const machine = describeMachine();
  const before = measureDiskSync();
  using mock = await startMock();
  using load = startLoad();
  const begun = performance.now();
  await using site = await startBenchSite(mock.url);
  const readyMs = performance.now() - begun;
  const bench = new SiteBench(load, mock.url, site);
  say('warming up');
  await bench.warmUp(ms);
  const memory = residentBytes(site.pid);
  const rounds: Round[] = [];
  for (let i = 1; i <= roundCount; i++) {
    say(`round ${i} of ${roundCount}`);
    rounds.push(await bench.round(ms));
  }
  say('receipts and streams that their clients leave');
  const receipts = await bench.receipts();
  const leaving = await bench.leaving();
  const sample = await sampleExchange(site);
  const resident = { before: memory, after: residentBytes(site.pid) };
  const { requests } = bench;
  const comparison = await compare({ load, provider: mock.url, site });
  await site.stop();
  say('parts');
  const parts = await measureParts({
    load,
    provider: mock.url,
    ms,
    request: sample.request,
    answer: sample.response,
  });
  const figures = [
    ...comparisonFigures(comparison),
    ...roundFigures(rounds, parts),
    figure('upstream cancelled after the client leaves, p50', leaving.p50, {
      unit: 'ms',
      must: 100,
      goal: 20,
    }),
    figure('receipt with proof, p50', receipts.p50, { unit: 'ms', must: 5, goal: 2 }),
    figure('receipt with proof, p99', receipts.p99, { unit: 'ms' }),
    ...(await ownFigures(sample)),
    figure('ready without a model', readyMs / 1000, { unit: 's', must: 2, goal: 1 }),
    figure('resident after warm-up', resident.before / MEBIBYTE, { unit: 'MiB', must: 250, goal: 150 }),
    figure('resident at the end', resident.after / MEBIBYTE, { unit: 'MiB', must: 250, goal: 150 }),
  ];
  const disk = { before, after: measureDiskSync() };
  return { machine, loadAfter: loadAverage(), disk, rounds, figures, parts, requests, comparison };
}

async function compare(of: { load: Load; provider: string; site: Site }): Promise<Comparison> {
  say('installing and starting peers');
  const named = (name: string): boolean =>
    only === null || only.some((one) => name.toLowerCase().startsWith(one));
  const peers = await startPeers(of.provider, named);
  try {
    const running = peers.flatMap((peer) => ('gateway' in peer ? [peer.gateway] : []));
    const { pid, url: origin, adminKey: key } = of.site;
    const everybody: Contestant[] = [
      { name: DIRECT, pid: null, origin: of.provider, key: 'none' },
      { name: SEKISHO, pid, origin, key },
      ...running,
    ].filter(({ name }) => named(name));
    const cells: CellResult[] = [];
    for (const cell of values.quick ? QUICK_CELLS : ALL_CELLS) {
      say(`${cell.kib} KiB, ${cell.stream ? 'streamed' : 'plain'}, ${cell.delayMs} ms`);
      cells.push(await compareCell(of.load, everybody, cell, { ms, rounds: roundCount }));
    }
    const memory = everybody.map((one) => ({ who: one.name, mebibytes: peakMebibytes(one) }));
    return { cells, memory, absent: peers.filter((peer) => 'absent' in peer) };
  } finally {
    for (const peer of peers) if ('gateway' in peer) await peer.stop();
  }
}

function roundFigures(rounds: readonly Round[], parts: readonly Part[]): readonly Figure[] {
  const of = (read: (round: Round) => number): number => median(rounds.map(read));
  const cpu = of((round) => round.cpu.closed);
  const known = parts.reduce((sum, { many }) => sum + many, 0);
  return [
    figure(
      'direct, requests/s',
      of(({ direct }) => direct.perSecond),
    ),
    figure(
      'through Sekisho, requests/s',
      of(({ through }) => through.perSecond),
    ),
    figure(
      'through / direct',
      of(({ through, direct }) => through.perSecond / direct.perSecond),
    ),
    figure('CPU a request, as fast as it can', cpu, { unit: 'µs' }),
    figure(
      'CPU a request at 500/s',
      of((round) => round.cpu.steady),
      { unit: 'µs' },
    ),
    figure('CPU a request that the parts explain', (100 * known) / cpu, { unit: '%' }),
    figure(
      'added at 500/s, p50',
      of(({ through, direct }) => through.steady.p50 - direct.steady.p50),
      { unit: 'ms', must: 2, goal: 1 },
    ),
    figure(
      'added at 500/s, p99',
      of(({ through, direct }) => through.steady.p99 - direct.steady.p99),
      { unit: 'ms', must: 10, goal: 5 },
    ),
    figure(
      'first token of a stream, added p50',
      of(({ through, direct }) => through.first.p50 - direct.first.p50),
      { unit: 'ms', must: 3, goal: 1 },
    ),
  ];
}

async function ownFigures(sample: SampleExchange): Promise<readonly Figure[]> {
  const { memoised, fresh } = policyDecisions();
  const verify = await offlineVerify(sample);
  return [
    figure('durable ledger entries/s of a process', await durableEntries(ms), {
      must: 10_000,
      goal: 20_000,
      atLeast: true,
    }),
    figure('receipt verified offline with both bodies, p50', verify.p50, { unit: 'ms', must: 1, goal: 0.3 }),
    figure('policy decision memoised, p50', memoised.p50, { unit: 'µs', must: 10, goal: 3 }),
    figure('policy decision not memoised, p50', fresh.p50, { unit: 'µs', must: 300, goal: 200 }),
  ];
}

function figure(
  what: string,
  value: number,
  more: Omit<Figure, 'what' | 'value' | 'unit'> & { unit?: string } = {},
): Figure {
  return { what, value, unit: '', ...more };
}

// Progress goes to people only.
function say(what: string): void {
  if (process.stderr.isTTY) console.error(`${what} ...`);
}
