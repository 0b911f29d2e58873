import { dirname, join } from 'node:path';

import type { Log } from '../core/log.ts';
import type { Disk, DiskFile } from './disk.ts';
import {
  batchBytes,
  corruption,
  decodeBatch,
  decodeSegmentHeader,
  encodeBatch,
  encodeSegmentHeader,
  findBatch,
  SEGMENT_HEADER_BYTES,
  type Batch,
  type SegmentStart,
} from './segment.ts';

export interface WalOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly logId: string;
  readonly segmentBytes: number;
  readonly log: Log;
  /** Told of every batch found on start, in order. */
  readonly onBatch: (batch: Batch) => void | Promise<void>;
}

interface Segment {
  readonly number: number;
  readonly firstIndex: number;
}

const SEGMENT_NAME = /^(\d{12})\.wal$/;
const ZEROS = Buffer.alloc(1 << 20);
const RESTORE = 'Restore the data directory from a backup newer than the last checkpoint, or begin a new log';

/**
 * The write-ahead log: preallocated segments of batches; a batch is in the log once its synced write returned. `append`
 * is called by one writer at a time. After an error nothing is appended until `recover` has opened a fresh segment: what
 * a failed sync left in the page cache is not to be trusted, so the new segment voids it.
 */
export class Wal implements AsyncDisposable {
  readonly #options: WalOptions;
  #segments: Segment[] = [];
  #file: DiskFile | null = null;
  #spare: Promise<DiskFile | null> | null = null;
  #position = 0;
  #nextNumber = 1;
  #nextBatch = 0;
  #nextIndex = 0;
  #suspect = false;

  private constructor(options: WalOptions) {
    this.#options = options;
  }

  /**
   * Replays what is there and gives a log ready to append at `nextIndex`.
   * @throws Fault `ledger.corrupt` when a batch is damaged and a later one is whole: then something was lost that had
   * been durable.
   */
  static async open(options: WalOptions): Promise<Wal> {
    const wal = new Wal(options);
    await options.disk.makeDirectory(options.directory);
    await options.disk.sync(dirname(options.directory));
    await wal.#replay();
    return wal;
  }

  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** The most bytes that one batch may take. */
  get batchLimit(): number {
    return this.#options.segmentBytes - SEGMENT_HEADER_BYTES;
  }

  /** Resolves once the entries are durable at `nextIndex` and after. */
  async append(entries: readonly Buffer[]): Promise<void> {
    if (this.#suspect) throw new TypeError('append after an error needs recover first');
    this.#suspect = true;
    if (this.#file === null || this.#position + batchBytes(entries) > this.#options.segmentBytes)
      await this.#startSegment();
    const file = this.#file;
    if (file === null) throw new TypeError('the write-ahead log has no open segment');
    const bytes = encodeBatch(this.#nextBatch, this.#nextIndex, entries);
    await file.write(bytes, this.#position);
    this.#suspect = false;
    this.#position += bytes.length;
    this.#nextBatch += 1;
    this.#nextIndex += entries.length;
  }

  /** Voids what a failed `append` may have left behind. Rejects while the disk still refuses. */
  async recover(): Promise<void> {
    await this.#dropSpare();
    await this.#startSegment();
    this.#suspect = false;
  }

  /** Whether `retire` would remove a segment. */
  canRetire(index: number): boolean {
    const next = this.#segments[1];
    return next !== undefined && next.firstIndex <= index;
  }

  /** Removes the segments whose leaves all lie below `index`; these must be durable elsewhere. */
  async retire(index: number): Promise<void> {
    for (;;) {
      const [oldest] = this.#segments;
      if (oldest === undefined || !this.canRetire(index)) return;
      await this.#options.disk.remove(this.#path(oldest.number));
      this.#segments.shift();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dropSpare();
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  #path(number: number): string {
    return join(this.#options.directory, `${String(number).padStart(12, '0')}.wal`);
  }

  async #startSegment(): Promise<void> {
    const { disk, directory, logId } = this.#options;
    const previous = this.#file;
    this.#file = null;
    await previous?.close();
    const file = (await this.#spare) ?? (await this.#prepare(this.#nextNumber));
    this.#spare = null;
    const number = this.#nextNumber++;
    try {
      // The header is durable before the name counts, so a named segment without one is damage and never a crash.
      await file.write(
        encodeSegmentHeader({ logId, firstBatch: this.#nextBatch, firstIndex: this.#nextIndex }),
        0,
      );
      await disk.rename(`${this.#path(number)}.new`, this.#path(number));
      await disk.sync(directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#segments.push({ number, firstIndex: this.#nextIndex });
    this.#file = file;
    this.#position = SEGMENT_HEADER_BYTES;
    this.#spare = this.#prepareAhead(this.#nextNumber);
  }

  // Writing into preallocated zeros makes a sync 2 to 4 times cheaper than growing a file.
  async #prepare(number: number): Promise<DiskFile> {
    const { disk } = this.#options;
    const path = `${this.#path(number)}.new`;
    try {
      await this.#fill(path);
      return await disk.open(path, 'synced');
    } catch (error) {
      // A full disk stays full while half a segment lies on it; a disk that refuses this too is probed again anyway.
      await disk.remove(path).catch(() => {});
      throw error;
    }
  }

  async #fill(path: string): Promise<void> {
    const { disk, segmentBytes } = this.#options;
    const file = await disk.open(path, 'update');
    try {
      for (let at = 0; at < segmentBytes; at += ZEROS.length)
        await file.write(ZEROS.subarray(0, Math.min(ZEROS.length, segmentBytes - at)), at);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async #prepareAhead(number: number): Promise<DiskFile | null> {
    try {
      return await this.#prepare(number);
    } catch {
      // The same refusal comes back, and is reported, when the segment is needed.
      return null;
    }
  }

  async #dropSpare(): Promise<void> {
    const spare = await this.#spare;
    this.#spare = null;
    await spare?.close();
  }

  async #replay(): Promise<void> {
    const { disk, directory } = this.#options;
    const numbers: number[] = [];
    for (const name of (await disk.list(directory)).sort()) {
      const match = SEGMENT_NAME.exec(name);
      if (match === null) await disk.remove(join(directory, name));
      else numbers.push(Number(match[1]));
    }
    const last = numbers.at(-1);
    if (last === undefined) return;
    this.#nextNumber = last + 1;
    const starts = await Promise.all(numbers.map((number) => this.#readStart(number)));
    this.#nextBatch = starts[0]?.firstBatch ?? 0;
    this.#nextIndex = starts[0]?.firstIndex ?? 0;
    const kept: Buffer[] = [];
    for (const [i, number] of numbers.entries()) {
      const first = this.#nextIndex;
      const bytes = await this.#replaySegment(number, starts[i + 1] ?? null);
      this.#segments.push({ number, firstIndex: first });
      if (number === last) kept.push(bytes);
    }
    if (starts.length > 0) await this.#rewriteLast(last, starts.at(-1) ?? null, Buffer.concat(kept));
  }

  async #readStart(number: number): Promise<SegmentStart> {
    const path = this.#path(number);
    const file = await this.#options.disk.open(path, 'update');
    try {
      const start = decodeSegmentHeader(await file.read(SEGMENT_HEADER_BYTES, 0));
      if (start === null) throw corruption(path, 'the header at offset 0 is damaged', RESTORE);
      if (start.logId !== this.#options.logId)
        throw corruption(path, `the segment belongs to log ${start.logId}`, 'Remove it from this directory');
      return start;
    } finally {
      await file.close();
    }
  }

  // Gives the bytes of the segment's batches that count.
  async #replaySegment(number: number, next: SegmentStart | null): Promise<Buffer> {
    const path = this.#path(number);
    const bytes = await this.#options.disk.readFile(path);
    if (bytes === null) throw corruption(path, 'the segment vanished while it was read', RESTORE);
    const end = next?.firstBatch ?? Infinity;
    let at = SEGMENT_HEADER_BYTES;
    while (this.#nextBatch < end) {
      const batch = decodeBatch(bytes, at);
      if (batch === null || batch.batch !== this.#nextBatch || batch.firstIndex !== this.#nextIndex) break;
      await this.#options.onBatch(batch);
      this.#nextBatch += 1;
      this.#nextIndex += batch.entries.length;
      at = batch.end;
    }
    this.#checkEnd(path, { bytes, at }, next);
    return bytes.subarray(SEGMENT_HEADER_BYTES, at);
  }

  #checkEnd(path: string, end: { bytes: Buffer; at: number }, next: SegmentStart | null): void {
    if (next !== null) {
      if (next.firstBatch === this.#nextBatch && next.firstIndex === this.#nextIndex) return;
      throw corruption(path, `the batch at offset ${end.at} is damaged and later segments follow`, RESTORE);
    }
    const later = findBatch(end.bytes, end.at, this.#nextBatch + 1);
    if (later !== null)
      throw corruption(
        path,
        `the batch at offset ${end.at} is damaged and a whole later batch follows at offset ${later}`,
        RESTORE,
      );
    const tail = end.bytes.subarray(end.at);
    if (!tail.equals(Buffer.alloc(tail.length)))
      this.#options.log.warn('ledger.torn_tail_cut', { file: path, offset: end.at });
  }

  // What replay read of the last segment may lie in the page cache alone, left there by a sync that failed before this
  // process began. It is written anew, and made durable, before anything is built on it.
  async #rewriteLast(number: number, start: SegmentStart | null, batches: Buffer): Promise<void> {
    if (start === null) return;
    const { disk, directory } = this.#options;
    const copy = this.#nextNumber;
    const file = await this.#prepare(copy);
    await file.write(Buffer.concat([encodeSegmentHeader(start), batches]), 0);
    await disk.rename(`${this.#path(copy)}.new`, this.#path(copy));
    await disk.sync(directory);
    await disk.remove(this.#path(number));
    this.#nextNumber = copy + 1;
    this.#segments[this.#segments.length - 1] = { number: copy, firstIndex: start.firstIndex };
    this.#file = file;
    this.#position = SEGMENT_HEADER_BYTES + batches.length;
    this.#spare = this.#prepareAhead(this.#nextNumber);
  }
}
