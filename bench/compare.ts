import type { Load } from './driver.ts';
import type { Measured, Target } from './load.ts';
import { cpuMicroseconds, peakBytes, processTree } from './machine.ts';
import type { Gateway } from './peers.ts';
import { median, summarize, type Summary } from './statistics.ts';

/** One kind of request that is measured of everybody. */
export interface Cell {
  readonly kib: number;
  readonly stream: boolean;
  /** What the provider takes before its first byte. */
  readonly delayMs: 0 | 60;
}

/** What one of them did with a cell, over all rounds; rates are medians, times come from all requests. */
export interface Row {
  readonly who: string;
  readonly failure: string | null;
  /** As fast as it can; null where the provider's delay would be what is measured. */
  readonly perSecond: number | null;
  /** Microseconds of CPU of the process and all below it; null of direct requests. */
  readonly cpu: number | null;
  readonly whole: Summary;
  readonly first: Summary;
}

export interface CellResult {
  readonly cell: Cell;
  readonly steadyPerSecond: number;
  readonly rows: readonly Row[];
}

/** Who is measured: direct has no process of its own. */
export type Contestant = Omit<Gateway, 'pid'> & { readonly pid: number | null };

export interface Rounds {
  readonly ms: number;
  readonly rounds: number;
}

const CONNECTIONS = 32;
const PLAIN_PER_SECOND = 100;
const STREAMS_PER_SECOND = 25;

export const ALL_CELLS: readonly Cell[] = ([0, 60] as const).flatMap((delayMs) =>
  [1, 32].flatMap((kib) => [false, true].map((stream) => ({ kib, stream, delayMs }))),
);
export const QUICK_CELLS: readonly Cell[] = ALL_CELLS.filter(
  ({ kib, delayMs }) => kib === 1 && delayMs === 0,
);

/** Measures a cell of everybody in turn, so that what disturbs the machine disturbs all alike. */
export async function compareCell(
  load: Load,
  everybody: readonly Contestant[],
  cell: Cell,
  { ms, rounds }: Rounds,
): Promise<CellResult> {
  const steadyPerSecond = cell.stream ? STREAMS_PER_SECOND : PLAIN_PER_SECOND;
  const turns = everybody.map((who) => new Turns(load, who, cell));
  if (cell.delayMs === 0) for (const turn of turns) await turn.closed(ms);
  for (const turn of turns) turn.forget();
  for (let i = 0; i < rounds; i++) {
    if (cell.delayMs === 0) for (const turn of turns) await turn.closed(ms);
    for (const turn of turns) await turn.steady(steadyPerSecond, ms);
  }
  return { cell, steadyPerSecond, rows: turns.map((turn) => turn.row()) };
}

/** The most memory in MiB that a gateway and everything below it held. */
export function peakMebibytes({ pid }: Contestant): number | null {
  if (pid === null) return null;
  return processTree(pid).reduce((sum, one) => sum + peakBytes(one), 0) / 2 ** 20;
}

class Turns {
  readonly #load: Load;
  readonly #who: Contestant;
  readonly #stream: boolean;
  readonly #target: Target;
  #failure: string | null = null;
  #rates: number[] = [];
  #cpu: number[] = [];
  #cpuSteady: number[] = [];
  #times: { readonly first: number; readonly end: number }[] = [];

  constructor(load: Load, who: Contestant, { kib, stream, delayMs }: Cell) {
    this.#load = load;
    this.#who = who;
    this.#stream = stream;
    const { origin, key, headers } = who;
    const model = delayMs === 0 ? 'fast' : 'slow';
    this.#target = { origin, key, model, kib, ...(headers && { headers }) };
  }

  /** Before anything that counts, and after a failure. */
  forget(): void {
    [this.#rates, this.#cpu, this.#cpuSteady, this.#times] = [[], [], [], []];
  }

  async closed(ms: number): Promise<void> {
    const target = { target: this.#target, stream: this.#stream };
    const measured = await this.#run({ kind: 'closed', ...target, connections: CONNECTIONS, ms }, this.#cpu);
    if (measured !== null) this.#rates.push(measured.perSecond);
  }

  async steady(perSecond: number, ms: number): Promise<void> {
    const target = { target: this.#target, stream: this.#stream };
    const measured = await this.#run({ kind: 'steady', ...target, perSecond, ms }, this.#cpuSteady);
    if (measured !== null) this.#times.push(...(measured.times ?? []));
  }

  row(): Row {
    if (this.#failure !== null) this.forget();
    const cpu = this.#cpu.length > 0 ? this.#cpu : this.#cpuSteady;
    return {
      who: this.#who.name,
      failure: this.#failure,
      perSecond: this.#rates.length > 0 ? median(this.#rates) : null,
      cpu: cpu.length > 0 ? median(cpu) : null,
      whole: summarize(this.#times.map(({ end }) => end)),
      first: summarize(this.#times.map(({ first }) => first)),
    };
  }

  // Of somebody that failed once nothing more is asked: what it did before would flatter it.
  async #run(job: Parameters<Load['run']>[0], cpu: number[]): Promise<Measured | null> {
    if (this.#failure !== null) return null;
    const before = this.#used();
    try {
      const measured = await this.#load.run(job);
      if (this.#who.pid !== null) cpu.push((this.#used() - before) / measured.whole.count);
      return measured;
    } catch (error) {
      this.#failure = String(error);
      return null;
    }
  }

  #used(): number {
    if (this.#who.pid === null) return 0;
    return processTree(this.#who.pid).reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
  }
}
