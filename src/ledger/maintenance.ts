import { SECOND } from '../core/duration.ts';
import { Fault, toFault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { RoadIndex } from './road-index.ts';
import type { RoadFile } from './roads.ts';
import type { TiledLog } from './tiled-log.ts';
import type { Troubles } from './troubles.ts';
import type { Wal } from './wal.ts';

export interface MaintenanceOptions {
  readonly wal: Wal;
  readonly log: TiledLog;
  readonly roads: RoadFile;
  readonly index: RoadIndex;
  readonly checkpoints: Checkpoints;
  readonly world: World;
  readonly troubles: Troubles;
}

const ROUND_MS = SECOND;
// A round begins early when this much waits for it. Appends are refused only when memory would be in danger, or a start
// after a crash would take long, for it reads what the index lacks: at full speed the log outruns its index for seconds.
const EARLY_BYTES = 8 << 20;
const REFUSED_BYTES = 8 * EARLY_BYTES;
const EARLY_CHANGES = 4_000;
const REFUSED_CHANGES = 32_000;
const TAKEN_CHANGES = REFUSED_CHANGES / 2;

/** What a log does beside appending, about once a second: tiles, checkpoint, index, retired segments, probes. */
export class Maintenance implements AsyncDisposable {
  readonly #options: MaintenanceOptions;
  readonly #stop = new AbortController();
  readonly #rounds: Promise<void>;
  #wake: AbortController = new AbortController();
  #publishedSize = -1;
  #hasKeyTrouble = false;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#rounds = this.#run();
  }

  /** Begins a round when much waits, and refuses appends when far too much does: memory is bounded. */
  wakeIfFull(): void {
    const { log, index, troubles } = this.#options;
    const isMuch = log.pendingBytes > EARLY_BYTES || index.backlog > EARLY_CHANGES;
    if (isMuch && !this.#wake.signal.aborted) this.#wake.abort();
    if (log.pendingBytes > REFUSED_BYTES) troubles.set('tiles', 'too many tiles wait for the disk');
    if (index.backlog > REFUSED_CHANGES) troubles.set('index', 'the database is too far behind the log');
  }

  /** Request keys cannot be written; rounds probe until they can. */
  reportKeyTrouble(cause: unknown): void {
    this.#hasKeyTrouble = true;
    this.#options.troubles.set('keys', 'request keys cannot be stored', cause);
  }

  /** Ends with a last round, so that what others read from the disk is whole. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
    await this.#round();
  }

  async #run(): Promise<void> {
    const { world } = this.#options;
    while (!this.#stop.signal.aborted) {
      const signal = AbortSignal.any([this.#stop.signal, this.#wake.signal]);
      await world.clock.sleep(ROUND_MS, signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
      this.#wake = new AbortController();
      await this.#round();
    }
  }

  async #round(): Promise<void> {
    const { log, index, roads, troubles } = this.#options;
    await this.#step('anchor', 'checkpoints cannot be signed', () => this.#sign());
    await this.#step('tiles', null, () => this.#writeTiles());
    await this.#step('index', null, () => index.flush(roads.next));
    if (this.#hasKeyTrouble)
      await this.#step('keys', 'request keys cannot be stored', async () => {
        await roads.probe();
        this.#hasKeyTrouble = false;
      });
    if (log.pendingBytes <= EARLY_BYTES) troubles.set('tiles', null);
    if (index.backlog <= TAKEN_CHANGES) troubles.set('index', null);
  }

  // Parts whose refusal can wait in memory, up to a bound, have no sentence of trouble.
  async #step(part: string, sentence: string | null, work: () => Promise<void>): Promise<void> {
    const { troubles } = this.#options;
    try {
      await work();
      if (sentence !== null) troubles.set(part, null);
    } catch (error) {
      if (sentence !== null) troubles.set(part, sentence, error);
      else troubles.note(part, toFault(error).message);
    }
  }

  async #sign(): Promise<void> {
    const { log, checkpoints } = this.#options;
    if (checkpoints.last === null || checkpoints.last.size < log.size) await checkpoints.atLeast(log.size);
  }

  async #writeTiles(): Promise<void> {
    const { wal, log, checkpoints } = this.#options;
    const { last } = checkpoints;
    if (last === null) throw new Fault('unavailable', 'ledger.unavailable', 'no checkpoint was signed yet');
    if (last.size !== this.#publishedSize) {
      await log.publish(last.size, last.note);
      this.#publishedSize = last.size;
    }
    await log.flush();
    if (wal.canRetire(log.size)) await wal.retire(await log.syncAll());
  }
}
