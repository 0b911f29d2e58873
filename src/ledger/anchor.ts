import { hash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

import { Fault } from '../core/fault.ts';
import type { Disk, DiskFile } from './disk.ts';
import { lockFile } from './lock.ts';
import { openCheckpoint, type TreeHead } from './note.ts';
import { Defect } from './verify/findings.ts';
import type { Vkey } from './verify/vkey.ts';

/** A place outside the data directory that holds the last signed note. */
export interface Anchor extends AsyncDisposable {
  /** The checkpoint that stood here on start, or null for a new log. */
  readonly found: TreeHead | null;
  /**
   * Puts a note in the place of the last one; durable when it resolves.
   * @throws Fault `ledger.forked` when another hand changed the anchor, `ledger.unavailable` when the disk refuses.
   */
  swap(note: string): Promise<void>;
}

/*
 * Two slots of 4,096 bytes, written in turn so that one is always whole: magic "SKA1", CRC-32 of what follows the CRC,
 * sequence u64, length u16, note, then the place: machine, a line break, file, a line break. Numbers little-endian.
 */
const MAGIC = 'SKA1';
const SLOT_BYTES = 4096;
const NOTE_AT = 18;

interface Slot {
  readonly sequence: number;
  readonly note: string;
  readonly place: AnchorPlace;
}

/** Where a note was put: a copy of the anchor has another file, a copy of the machine another machine. */
interface AnchorPlace {
  readonly machine: string;
  readonly file: string;
}

const NOWHERE: AnchorPlace = { machine: '', file: '' };
const NOTHING: Slot = { sequence: 0, note: '', place: NOWHERE };

/**
 * Opens the anchor of the log with this key and holds it alone.
 * @throws Fault `ledger.in_use`, `ledger.anchor_damaged`.
 */
export async function openAnchor(options: {
  readonly disk: Disk;
  readonly directory: string;
  readonly key: Vkey;
  readonly machine?: string | null;
  /** Takes an anchor that was written elsewhere. */
  readonly adopt?: boolean;
}): Promise<Anchor> {
  const { disk, directory, key } = options;
  await disk.makeDirectory(directory);
  const path = anchorPath(directory, key);
  const lock = lockFile(`${path}.lock`);
  try {
    const file = await disk.open(path, 'update');
    if ((await file.size()) < 2 * SLOT_BYTES) await create(disk, { file, directory });
    const slots = await readSlots(file);
    const last = newest(slots) ?? NOTHING;
    const found = last === NOTHING ? null : await openCheckpoint(last.note, key);
    if (found instanceof Defect || (found === null && !(await isBlank(file)))) throw damaged(path);
    const place = { machine: options.machine ?? '', file: await file.identity() };
    if (options.adopt !== true && isElsewhere(last.place, place)) throw cloned(path);
    return new FileAnchor({ disk, path, lock, file, place }, last, found);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/**
 * What the anchor of an ended log says, or null where there is none. Nobody writes it any more, so it is not held.
 * @throws Fault `ledger.anchor_damaged`.
 */
export async function readAnchor(options: {
  readonly disk: Disk;
  readonly directory: string;
  readonly key: Vkey;
}): Promise<TreeHead | null> {
  const path = anchorPath(options.directory, options.key);
  const bytes = await options.disk.readFile(path);
  if (bytes === null || bytes.every((byte) => byte === 0)) return null;
  const last = newest([decode(bytes.subarray(0, SLOT_BYTES)), decode(bytes.subarray(SLOT_BYTES))]);
  const found = last === null ? null : await openCheckpoint(last.note, options.key);
  if (found === null || found instanceof Defect) throw damaged(path);
  return found;
}

function anchorPath(directory: string, key: Vkey): string {
  return join(directory, `${hash('sha256', key.publicKey)}.anchor`);
}

class FileAnchor implements Anchor {
  readonly found: TreeHead | null;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #lock: Disposable;
  readonly #place: AnchorPlace;
  #file: DiskFile;
  #last: Slot;
  // A write that failed may have reached the disk all the same.
  #unsure: Slot | null = null;

  constructor(
    place: { disk: Disk; path: string; lock: Disposable; file: DiskFile; place: AnchorPlace },
    last: Slot,
    found: TreeHead | null,
  ) {
    this.#disk = place.disk;
    this.#path = place.path;
    this.#lock = place.lock;
    this.#file = place.file;
    this.#place = place.place;
    this.#last = last;
    this.found = found;
  }

  async swap(note: string): Promise<void> {
    const next: Slot = { sequence: this.#last.sequence + 1, note, place: this.#place };
    try {
      if (this.#unsure !== null) await this.#reopen();
      const current = newest(await readSlots(this.#file)) ?? NOTHING;
      if (!isSame(current, this.#last) && !isSame(current, this.#unsure)) throw forked(this.#path);
      this.#unsure = next;
      await this.#file.write(encode(next), (next.sequence % 2) * SLOT_BYTES);
      await this.#file.datasync();
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      throw new Fault('unavailable', 'ledger.unavailable', `cannot write the anchor ${this.#path}`, {
        cause,
      });
    }
    this.#last = next;
    this.#unsure = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    this.#lock[Symbol.dispose]();
  }

  async #reopen(): Promise<void> {
    const fresh = await this.#disk.open(this.#path, 'update');
    await this.#file.close().catch(() => {});
    this.#file = fresh;
  }
}

async function create(disk: Disk, place: { file: DiskFile; directory: string }): Promise<void> {
  await place.file.write(Buffer.alloc(2 * SLOT_BYTES), 0);
  await place.file.datasync();
  await disk.sync(place.directory);
  await disk.sync(dirname(place.directory));
}

async function readSlots(file: DiskFile): Promise<(Slot | null)[]> {
  const bytes = await file.read(2 * SLOT_BYTES, 0);
  return [decode(bytes.subarray(0, SLOT_BYTES)), decode(bytes.subarray(SLOT_BYTES))];
}

async function isBlank(file: DiskFile): Promise<boolean> {
  return (await file.read(2 * SLOT_BYTES, 0)).every((byte) => byte === 0);
}

function newest(slots: readonly (Slot | null)[]): Slot | null {
  const [a = null, b = null] = slots;
  if (a === null || b === null) return a ?? b;
  return a.sequence > b.sequence ? a : b;
}

function isSame(a: Slot, b: Slot | null): boolean {
  return (
    b !== null &&
    a.sequence === b.sequence &&
    a.note === b.note &&
    a.place.machine === b.place.machine &&
    a.place.file === b.place.file
  );
}

// What was not known when it was written tells nothing.
function isElsewhere(then: AnchorPlace, now: AnchorPlace): boolean {
  const differs = (a: string, b: string): boolean => a !== '' && b !== '' && a !== b;
  return differs(then.machine, now.machine) || differs(then.file, now.file);
}

function encode({ sequence, note, place }: Slot): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  const text = Buffer.from(note);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeBigUInt64LE(BigInt(sequence), 8);
  bytes.writeUInt16LE(text.length, 16);
  bytes.set(text, NOTE_AT);
  bytes.write(`${place.machine}\n${place.file}\n`, NOTE_AT + text.length, 'latin1');
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

function decode(bytes: Buffer): Slot | null {
  if (bytes.length < SLOT_BYTES || bytes.toString('latin1', 0, 4) !== MAGIC) return null;
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return null;
  const end = NOTE_AT + bytes.readUInt16LE(16);
  const note = bytes.subarray(NOTE_AT, end).toString('utf8');
  const [machine = '', file = '', rest] = bytes.toString('latin1', end).split('\n');
  const place = rest === undefined ? NOWHERE : { machine, file };
  return { sequence: Number(bytes.readBigUInt64LE(8)), note, place };
}

function damaged(path: string): Fault {
  return new Fault(
    'internal',
    'ledger.anchor_damaged',
    `${path} holds no readable checkpoint. Restore it, or remove it if you know that this log was not rolled back`,
  );
}

function cloned(path: string): Fault {
  return new Fault(
    'conflict',
    'ledger.cloned',
    `${path} was written on another machine, or is a copy: two copies that sign would fork the log. If the site was moved here and goes on nowhere else, run "sekisho ledger adopt-machine"; otherwise remove this copy`,
  );
}

function forked(path: string): Fault {
  return new Fault(
    'conflict',
    'ledger.forked',
    `${path} was changed by another hand: a copy of this log may be running elsewhere. Nothing more is signed; stop the copy and restart`,
  );
}
