import type { CellResult, Row } from './compare.ts';
import type { Figure } from './report.ts';
import { number, table } from './table.ts';

/** Everybody beside everybody. */
export interface Comparison {
  readonly cells: readonly CellResult[];
  /** Most memory in MiB that each held. */
  readonly memory: readonly { readonly who: string; readonly mebibytes: number | null }[];
  readonly absent: readonly { readonly name: string; readonly absent: string }[];
}

export const DIRECT = 'direct';
export const SEKISHO = 'Sekisho';
const HEAD = ['', 'req/s', '/ direct', '/ Portkey', 'CPU µs', 'p50 ms', 'p99', 'p99.9', 'first p50', 'p99'];
const BOUNDS = [
  { peer: 'Portkey', must: 5, goal: 8 },
  { peer: 'LiteLLM', must: 10, goal: 15 },
];

export function comparisonLines({ cells, memory, absent }: Comparison): readonly string[] {
  return [
    ...cells.flatMap((result) => [title(result), ...table(HEAD, rows(result)), ...failures(result), '']),
    ...table(
      ['most memory, MiB', ''],
      memory
        .filter(({ mebibytes }) => mebibytes !== null)
        .map(({ who, mebibytes }) => [who, number(mebibytes ?? NaN)]),
    ),
    '',
    ...absent.map(({ name, absent: why }) => `absent: ${name}: ${why}`),
    ...(absent.length > 0 ? [''] : []),
  ];
}

/** Our rate over that of each peer in the cell that the project's budget names. */
export function comparisonFigures({ cells }: Comparison): readonly Figure[] {
  const named = cells.find(({ cell }) => cell.kib === 1 && !cell.stream && cell.delayMs === 0);
  const ours = rateOf(named, SEKISHO);
  return BOUNDS.flatMap(({ peer, must, goal }) => {
    const theirs = rateOf(named, peer);
    if (ours === null || theirs === null) return [];
    return [
      { what: `Sekisho / ${peer}, requests/s`, value: ours / theirs, unit: 'x', must, goal, atLeast: true },
    ];
  });
}

function title({ cell: { kib, stream, delayMs }, steadyPerSecond }: CellResult): string {
  return `${kib} KiB, ${stream ? 'streamed' : 'plain'}, provider takes ${delayMs} ms; times at ${steadyPerSecond}/s`;
}

function rows(result: CellResult): readonly (readonly string[])[] {
  const [direct, portkey] = [rateOf(result, DIRECT), rateOf(result, 'Portkey')];
  return result.rows.map(({ who, perSecond, cpu, whole, first }) => [
    who,
    ...[perSecond, over(perSecond, direct), over(perSecond, portkey), cpu].map(cellOf),
    ...[whole.p50, whole.p99, whole.p999, first.p50, first.p99].map(cellOf),
  ]);
}

function failures({ rows: all }: CellResult): readonly string[] {
  return all.flatMap(({ who, failure }) => (failure === null ? [] : [`failed: ${who}: ${failure}`]));
}

function rateOf(result: CellResult | undefined, who: string): number | null {
  const row: Row | undefined = result?.rows.find((one) => one.who.startsWith(who));
  return row?.perSecond ?? null;
}

function over(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one / other;
}

function cellOf(value: number | null): string {
  return value === null || Number.isNaN(value) ? '-' : number(value);
}
