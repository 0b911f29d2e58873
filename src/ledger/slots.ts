import type { Disk, DiskFile } from './disk.ts';

/** Both kinds of slot are this long: sixteen of them share a block of the disk, and none straddles two. */
export const SLOT_BYTES = 256;
const GROWTH_SLOTS = 2048;
const SCAN_SLOTS = 256;
const ZERO_SLOT = Buffer.alloc(SLOT_BYTES);

/** A new slot; `durable` rejects when the disk refused, and the slot then holds nothing. */
export interface NewSlot {
  readonly slot: number;
  readonly durable: Promise<void>;
}

interface Waiting {
  readonly slot: number;
  readonly bytes: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A preallocated file of fixed slots, each written once and later overwritten at most to erase it. Slots that arrive
 * while a sync is in flight share the next one.
 */
export class SlotFile implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #path: string;
  #file: DiskFile;
  #capacity: number;
  #next = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #suspect = false;
  readonly #reading = new Set<Promise<Buffer>>();

  private constructor(disk: Disk, path: string, file: { open: DiskFile; size: number }) {
    this.#disk = disk;
    this.#path = path;
    this.#file = file.open;
    this.#capacity = Math.floor(file.size / SLOT_BYTES);
  }

  static async open(disk: Disk, path: string): Promise<SlotFile> {
    const open = await disk.open(path, 'synced');
    const slots = new SlotFile(disk, path, { open, size: await open.size() });
    await slots.#findEnd();
    return slots;
  }

  /** The slot that the next `add` takes. */
  get next(): number {
    return this.#next;
  }

  add(bytes: Buffer): NewSlot {
    const slot = this.#next++;
    return { slot, durable: this.#write(slot, bytes) };
  }

  /** Resolves once the old bytes are gone from the file. */
  overwrite(slot: number, bytes: Buffer): Promise<void> {
    return this.#write(slot, bytes);
  }

  /** Null beyond the end and for a slot that was never written. */
  async read(slot: number): Promise<Buffer | null> {
    const bytes = await this.#read(1, slot);
    return bytes.length < SLOT_BYTES || bytes.equals(ZERO_SLOT) ? null : bytes;
  }

  /** Every written slot at or after `from`, in order; memory is that of a few slots. */
  async *scan(from: number): AsyncGenerator<{ slot: number; bytes: Buffer }> {
    const end = this.#next;
    for (let first = from; first < end; first += SCAN_SLOTS) {
      const count = Math.min(SCAN_SLOTS, end - first);
      const bytes = await this.#read(count, first);
      for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
        const one = bytes.subarray(at, at + SLOT_BYTES);
        if (!one.equals(ZERO_SLOT)) yield { slot: first + at / SLOT_BYTES, bytes: one };
      }
    }
  }

  /** Resolves once every slot that was added before is in the file, or was refused. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  // The file ends in preallocated zeros, of which there are few: the last written slot is found from the back.
  async #findEnd(): Promise<void> {
    for (let end = this.#capacity; end > 0; end -= SCAN_SLOTS) {
      const first = Math.max(0, end - SCAN_SLOTS);
      const bytes = await this.#read(end - first, first);
      for (let slot = end - 1; slot >= first; slot--) {
        const at = (slot - first) * SLOT_BYTES;
        if (bytes.subarray(at, at + SLOT_BYTES).equals(ZERO_SLOT)) continue;
        this.#next = slot + 1;
        return;
      }
    }
  }

  async #read(count: number, first: number): Promise<Buffer> {
    const reading = this.#file.read(count * SLOT_BYTES, first * SLOT_BYTES);
    this.#reading.add(reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(reading);
    }
  }

  #write(slot: number, bytes: Buffer): Promise<void> {
    const durable = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ slot, bytes, resolve, reject });
    });
    this.#writing ??= this.#writeAll();
    return durable;
  }

  async #writeAll(): Promise<void> {
    // What is added in the same turn of the event loop shares the first sync.
    await endOfTurn();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writeBatch(batch);
        for (const one of batch) one.resolve();
      } catch (error) {
        this.#suspect = true;
        for (const one of batch) one.reject(error);
      }
    }
    this.#writing = null;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    if (this.#suspect) await this.#reopen();
    const last = Math.max(...batch.map((one) => one.slot));
    while (last >= this.#capacity) await this.#grow();
    for (const run of contiguous(batch))
      await this.#file.write(Buffer.concat(run.map((one) => one.bytes)), (run[0]?.slot ?? 0) * SLOT_BYTES);
  }

  // After a failed sync the kernel may call a page clean that never reached the disk; a new description and new slots
  // write those pages again.
  async #reopen(): Promise<void> {
    const old = this.#file;
    this.#file = await this.#disk.open(this.#path, 'synced');
    this.#suspect = false;
    await Promise.allSettled(this.#reading);
    await old.close().catch(() => {});
  }

  async #grow(): Promise<void> {
    await this.#file.write(Buffer.alloc(GROWTH_SLOTS * SLOT_BYTES), this.#capacity * SLOT_BYTES);
    this.#capacity += GROWTH_SLOTS;
  }
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function contiguous(batch: readonly Waiting[]): Waiting[][] {
  const runs: Waiting[][] = [];
  for (const one of batch) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1)?.slot === one.slot - 1) run.push(one);
    else runs.push([one]);
  }
  return runs;
}
