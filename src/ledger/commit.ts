import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import { diskErrorName } from './disk.ts';
import { batchBytes } from './segment.ts';
import type { Wal } from './wal.ts';

/** Something to append: its exact bytes and whatever the owner needs again once they are durable. */
export interface Appendable {
  readonly entry: Buffer;
}

interface Waiting<T extends Appendable> {
  readonly item: T;
  /** In one batch with the item before it, so that a crash keeps both or neither. */
  readonly beside: boolean;
  readonly resolve: (index: number) => void;
  readonly reject: (error: Fault) => void;
}

export interface GroupCommitOptions<T extends Appendable> {
  readonly wal: Wal;
  readonly world: World;
  /** Called in the order of the log, once for every durable item, before its `append` resolves. */
  readonly onDurable: (index: number, item: T) => void;
  /** Told why the disk refuses, and null when it takes writes again. */
  readonly onTrouble: (reason: string | null) => void;
}

const MAX_QUEUE = 16_384;
const MAX_QUEUE_BYTES = 64 << 20;
const MAX_BATCH = 2048;
const MAX_BATCH_BYTES = 4 << 20;
// Above this rate a commit waits a moment, so that syncs do not take the processor from the work itself. Below it the
// wait would be most of what a request waits for.
const BUSY_ARRIVALS_PER_SECOND = 2_000;
const BUSY_WAIT_MS = 2;
const BUSY_BATCH = 64;
const RATE_WINDOW_MS = 100;
const PROBE_MS = 250;

/**
 * Adaptive group commit: at once when idle; what arrives while a sync is in flight shares the next one. When the disk
 * refuses, all that wait are rejected, and so is all that comes until a probe of the disk succeeds.
 */
export class GroupCommit<T extends Appendable> implements AsyncDisposable {
  readonly #options: GroupCommitOptions<T>;
  readonly #stop = new AbortController();
  #queue: Waiting<T>[] = [];
  #queueBytes = 0;
  #running: Promise<void> | null = null;
  #refused: Fault | null = null;
  #arrivals = 0;
  #windowStart = 0;
  #perSecond = 0;
  #enough: () => void = () => {};

  constructor(options: GroupCommitOptions<T>) {
    this.#options = options;
  }

  /**
   * Resolves with the item's index once it is durable. With `beside` it becomes durable together with the item
   * appended just before it in the same turn, or not at all.
   * @throws Fault `ledger.unavailable`.
   */
  append(item: T, beside = false): Promise<number> {
    if (this.#stop.signal.aborted) return Promise.reject(unavailable('the log is closed'));
    if (this.#refused !== null) return Promise.reject(this.#refused);
    const full = this.#queue.length >= MAX_QUEUE || this.#queueBytes >= MAX_QUEUE_BYTES;
    if (full && !beside) return Promise.reject(unavailable('too many appends wait for the disk'));
    this.#countArrival();
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, beside, resolve, reject });
      this.#queueBytes += item.entry.length;
      if (this.#queue.length >= BUSY_BATCH) this.#enough();
      this.#running ??= this.#run();
    });
  }

  /** Commits what waits, then refuses. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    // Requests that arrived in one turn of the event loop share the first sync.
    await endOfTurn();
    while (this.#queue.length > 0) {
      await this.#commit(this.#takeBatch());
      if (this.#refused !== null) await this.#probe();
      if (this.#isBusy()) await this.#waitForMore();
    }
    this.#running = null;
  }

  async #commit(batch: readonly Waiting<T>[]): Promise<void> {
    const first = this.#options.wal.nextIndex;
    try {
      await this.#options.wal.append(batch.map(({ item }) => item.entry));
    } catch (cause) {
      this.#refuse(batch, cause);
      return;
    }
    for (const [i, { item }] of batch.entries()) this.#options.onDurable(first + i, item);
    for (const [i, { resolve }] of batch.entries()) resolve(first + i);
  }

  #takeBatch(): Waiting<T>[] {
    const limit = Math.min(MAX_BATCH_BYTES, this.#options.wal.batchLimit);
    let bytes = batchBytes([]);
    let count = 0;
    for (const { item } of this.#queue) {
      bytes += 2 + item.entry.length;
      if (count === MAX_BATCH || (bytes > limit && count > 0)) break;
      count += 1;
    }
    while (count > 1 && this.#queue[count]?.beside === true) count -= 1;
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    for (const { item } of batch) this.#queueBytes -= item.entry.length;
    return batch;
  }

  #refuse(batch: readonly Waiting<T>[], cause: unknown): void {
    const reason = `the write-ahead log cannot be written (${diskErrorName(cause)})`;
    const refused = unavailable(reason, cause);
    this.#refused = refused;
    this.#options.onTrouble(reason);
    const all = [...batch, ...this.#queue];
    this.#queue = [];
    this.#queueBytes = 0;
    for (const { reject } of all) reject(refused);
  }

  async #probe(): Promise<void> {
    const { wal, world, onTrouble } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await wal.recover();
        this.#refused = null;
        onTrouble(null);
        return;
      } catch {
        // The reason was told; the next probe tells of nothing but success.
        await world.clock.sleep(PROBE_MS, this.#stop.signal).catch(() => {});
      }
    }
  }

  #isBusy(): boolean {
    const waiting = this.#queue.length;
    return waiting < BUSY_BATCH && this.#perSecond > BUSY_ARRIVALS_PER_SECOND && !this.#stop.signal.aborted;
  }

  async #waitForMore(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#enough = resolve;
    await Promise.race([promise, this.#options.world.clock.sleep(BUSY_WAIT_MS)]);
  }

  #countArrival(): void {
    this.#arrivals += 1;
    const now = this.#options.world.clock.elapsed();
    const passed = now - this.#windowStart;
    if (passed < RATE_WINDOW_MS) return;
    this.#perSecond = (this.#arrivals * 1000) / passed;
    this.#arrivals = 0;
    this.#windowStart = now;
  }
}

// The event loop reads all sockets that are ready before it comes to immediates, so an idle log waits for nothing.
function endOfTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function unavailable(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'ledger.unavailable', `cannot record: ${message}`, { cause });
}
