import { comparisonLines, type Comparison } from './compare-report.ts';
import type { Machine } from './machine.ts';
import type { Part } from './cpu.ts';
import { median, type Summary } from './statistics.ts';
import { number, table } from './table.ts';

/** One measured number, with the bounds that the project holds itself to where it has any. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly must?: number;
  readonly goal?: number;
  /** More is better. */
  readonly atLeast?: boolean;
}

/** One round: direct and through the site, one after the other. */
export interface Round {
  readonly direct: { readonly perSecond: number; readonly steady: Summary; readonly first: Summary };
  readonly through: { readonly perSecond: number; readonly steady: Summary; readonly first: Summary };
  /** Microseconds of CPU of the site's process a request, as fast as it can and at the steady rate. */
  readonly cpu: { readonly closed: number; readonly steady: number };
}

export interface Report {
  readonly machine: Machine;
  readonly loadAfter: number;
  /** Milliseconds to make a kilobyte durable, before and after everything else. */
  readonly disk: { readonly before: Summary; readonly after: Summary };
  readonly rounds: readonly Round[];
  readonly figures: readonly Figure[];
  readonly parts: readonly Part[];
  /** Of the site's process: requests that it served between both readings of its memory. */
  readonly requests: number;
  readonly comparison: Comparison;
}

/** Whether a figure keeps its bounds. */
export function verdictOf({ value, must, goal, atLeast = false }: Figure): string {
  const keeps = (bound: number | undefined): boolean =>
    bound !== undefined && (atLeast ? value >= bound : value <= bound);
  if (must === undefined) return '';
  if (keeps(goal)) return 'goal kept';
  return keeps(must) ? 'must kept' : 'MISSED';
}

export function textOf(report: Report): string {
  const { rounds, figures } = report;
  const rows = figures.map((figure) => [
    figure.what,
    withUnit(figure.value, figure.unit),
    figure.must === undefined ? '' : withUnit(figure.must, figure.unit),
    figure.goal === undefined ? '' : withUnit(figure.goal, figure.unit),
    verdictOf(figure),
  ]);
  return [
    ...machineLines(report),
    '',
    ...table(
      ['round', 'direct /s', 'through /s', 'ratio', 'CPU µs', 'CPU µs steady', 'p50 ms', 'p99 ms'],
      roundRows(rounds),
    ),
    '',
    ...comparisonLines(report.comparison),
    ...table(['figure', 'measured', 'must', 'goal', ''], rows),
    '',
    ...table(['CPU of one plain request by part', 'µs, 32 at once', 'µs, alone'], partRows(report)),
    '',
  ].join('\n');
}

function machineLines({ machine, loadAfter, disk, requests }: Report): readonly string[] {
  const { cores, model, memoryGiB, kernel, node, load, pinned, inMemory } = machine;
  const place = pinned
    ? 'the site has core 0, provider and load share core 1'
    : 'no process is pinned to a core';
  return [
    `machine: ${cores} cores, ${model}, ${memoryGiB} GiB, ${kernel}, Node ${node}; ${place}`,
    `load average ${load.toFixed(1)} before, ${loadAfter.toFixed(1)} after; ${requests} requests through the site`,
    `disk sync of 1 KiB: p50 ${number(disk.before.p50)} ms, p99 ${number(disk.before.p99)} ms before; ` +
      `p50 ${number(disk.after.p50)} ms, p99 ${number(disk.after.p99)} ms after` +
      (inMemory ? ' (in memory: set TMPDIR to a folder on a disk)' : ''),
  ];
}

function roundRows(rounds: readonly Round[]): readonly (readonly string[])[] {
  return rounds.map(({ direct, through, cpu }, i) => [
    String(i + 1),
    direct.perSecond.toFixed(0),
    through.perSecond.toFixed(0),
    number(through.perSecond / direct.perSecond),
    cpu.closed.toFixed(0),
    cpu.steady.toFixed(0),
    `${number(direct.steady.p50)} -> ${number(through.steady.p50)}`,
    `${number(direct.steady.p99)} -> ${number(through.steady.p99)}`,
  ]);
}

function partRows({ parts, rounds }: Report): readonly (readonly string[])[] {
  const sum = { name: 'sum of the parts', many: 0, alone: 0 };
  for (const { many, alone } of parts) {
    sum.many += many;
    sum.alone += alone;
  }
  const whole = {
    name: 'the site itself, as fast as it can and at 500/s',
    many: median(rounds.map(({ cpu }) => cpu.closed)),
    alone: median(rounds.map(({ cpu }) => cpu.steady)),
  };
  return [...parts, sum, whole].map(({ name, many, alone }) => [name, number(many), number(alone)]);
}

function withUnit(value: number, unit: string): string {
  return unit === '' ? number(value) : `${number(value)} ${unit}`;
}
