import { statfs } from 'node:fs/promises';
import { HOUR, MINUTE, SECOND } from '../core/duration.ts';
import type { Log } from '../core/log.ts';
import type { Clock } from '../core/world.ts';

export interface DiskSpaceOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Bytes free for this process in the file system of a directory, null where it does not tell; the machine's unless a
   * test plants a full one.
   */
  readonly free?: (directory: string) => Promise<number | null>;
}

interface Sample {
  readonly at: number;
  readonly free: number;
}

const EVERY = 10 * SECOND;
/** A rate is that of this long, and of no less than the shortest: a burst says little about the next hour. */
const WINDOW = 10 * MINUTE;
const SHORTEST = MINUTE;
const MEBIBYTE = 1024 * 1024;
const LOW_BYTES = 1024 * MEBIBYTE;

/**
 * Watches how much the file system of the log can still take, until disposed. A full disk stops every request, so it is
 * told of before: below 1 GiB, or when what was written lately would fill it within an hour.
 */
export class DiskSpace implements AsyncDisposable {
  readonly #options: DiskSpaceOptions;
  readonly #stop = new AbortController();
  readonly #rounds: Promise<void>;
  #samples: readonly Sample[] = [];
  #warning: string | null = null;

  private constructor(options: DiskSpaceOptions) {
    this.#options = options;
    this.#rounds = this.#run();
  }

  /** Looks once before it resolves. */
  static async watch(options: DiskSpaceOptions): Promise<DiskSpace> {
    const space = new DiskSpace(options);
    await space.look();
    return space;
  }

  /** Null, or a sentence on what is left. */
  warning(): string | null {
    return this.#warning;
  }

  /** Takes a sample now. */
  async look(): Promise<void> {
    const { directory, clock, log, free = freeBytes } = this.#options;
    // A file system that cannot be asked is the ledger's trouble as soon as it refuses a leaf.
    const bytes = await free(directory).catch(() => null);
    if (bytes === null) return;
    const at = clock.elapsed();
    this.#samples = [...this.#samples.filter((sample) => at - sample.at <= WINDOW), { at, free: bytes }];
    const before = this.#warning;
    this.#warning = warningOf(this.#samples);
    if (before === null && this.#warning !== null)
      log.warn('ledger.space_low', { freeMiB: Math.floor(bytes / MEBIBYTE) });
    if (before !== null && this.#warning === null) log.info('ledger.space_enough');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      await this.#options.clock.sleep(EVERY, signal).catch(() => {});
      if (signal.aborted) return;
      await this.look();
    }
  }
}

function warningOf(samples: readonly Sample[]): string | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return null;
  const left = `${Math.floor(last.free / MEBIBYTE)} MiB are free where the log is written`;
  if (last.free < LOW_BYTES) return `${left}; when it is full every request is refused`;
  const [time, taken] = [last.at - first.at, first.free - last.free];
  if (time < SHORTEST || taken <= 0) return null;
  const until = (last.free / taken) * time;
  return until < HOUR
    ? `${left}, which at the present rate lasts ${Math.floor(until / MINUTE)} minutes`
    : null;
}

async function freeBytes(directory: string): Promise<number | null> {
  const { bavail, blocks, bsize } = await statfs(directory);
  // Some that are not on a disk have no size at all.
  return blocks === 0 ? null : bavail * bsize;
}
