import { dirname } from 'node:path';
import type { Disk, DiskFile } from '../../src/ledger/disk.ts';
import { realDisk } from '../../src/ledger/disk.ts';
import { diskError } from './ledger-site.ts';

interface Write {
  readonly at: number;
  readonly bytes: Buffer;
}

/** A file: what the platter has, what the page cache shows, and what lies between. */
interface Inode {
  readonly id: number;
  durable: Buffer;
  shown: Buffer;
  pending: Write[];
}

interface NameChange {
  readonly folder: string;
  readonly names: readonly (readonly [path: string, inode: Inode | null])[];
}

const SECTOR = 512;

/**
 * A disk in memory that keeps what was synced and, at a power cut, a random part of what was not: sectors of writes, and
 * names. One that lies about a sync keeps nothing for certain. Directories themselves are real and durable, for locks.
 */
export class PowerDisk implements Disk {
  readonly #random: () => number;
  readonly #lies: boolean;
  #durable = new Map<string, Inode>();
  #shown = new Map<string, Inode>();
  #changes: NameChange[] = [];
  #next = 1;
  #dead = false;

  constructor(options: { readonly random: () => number; readonly lies?: boolean }) {
    this.#random = options.random;
    this.#lies = options.lies ?? false;
  }

  /** Cuts the power: this disk refuses everything from now on; gives the one that the machine finds afterwards. */
  cut(): PowerDisk {
    this.#dead = true;
    const after = new PowerDisk({ random: this.#random });
    const names = new Map(this.#durable);
    for (const change of this.#changes) if (this.#random() < 0.5) set(names, change);
    const copies = new Map<Inode, Inode>();
    for (const [path, inode] of names) {
      const copy = copies.get(inode) ?? this.#survivor(inode);
      copies.set(inode, copy);
      after.#durable.set(path, copy);
      after.#shown.set(path, copy);
    }
    after.#next = this.#next;
    return after;
  }

  async open(path: string, how: 'update' | 'synced'): Promise<DiskFile> {
    this.#alive();
    const inode = this.#shown.get(path) ?? this.#create(path, Buffer.alloc(0));
    return {
      write: async (bytes, at) => {
        this.#alive();
        const write = { at, bytes: Buffer.from(bytes) };
        inode.shown = put(inode.shown, write);
        if (how === 'synced' && !this.#lies) inode.durable = put(inode.durable, write);
        else inode.pending.push(write);
        await turn();
        this.#alive();
      },
      read: async (length, at) => {
        this.#alive();
        return Buffer.from(inode.shown.subarray(at, at + length));
      },
      datasync: async () => {
        const before = inode.pending.length;
        await turn();
        this.#alive();
        this.#keep(inode, before);
      },
      size: async () => inode.shown.length,
      identity: async () => String(inode.id),
      close: async () => {},
    };
  }

  async readFile(path: string): Promise<Buffer | null> {
    this.#alive();
    const inode = this.#shown.get(path);
    return inode === undefined ? null : Buffer.from(inode.shown);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    this.#alive();
    this.#create(path, Buffer.from(bytes));
  }

  async rename(from: string, to: string): Promise<void> {
    this.#alive();
    const inode = this.#shown.get(from);
    if (inode === undefined) throw diskError('ENOENT');
    this.#change(to, [
      [from, null],
      [to, inode],
    ]);
  }

  async list(directory: string): Promise<string[]> {
    this.#alive();
    const below = [...this.#shown.keys()].filter((path) => path.startsWith(`${directory}/`));
    return [...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))];
  }

  async remove(path: string): Promise<void> {
    this.#alive();
    this.#change(path, [[path, null]]);
  }

  async removeDirectory(path: string): Promise<void> {
    this.#alive();
    for (const name of this.#shown.keys())
      if (name.startsWith(`${path}/`)) this.#change(name, [[name, null]]);
  }

  async isPrivate(): Promise<boolean> {
    return true;
  }

  makeDirectory(path: string): Promise<void> {
    return realDisk.makeDirectory(path);
  }

  async sync(path: string): Promise<void> {
    await turn();
    this.#alive();
    const inode = this.#shown.get(path);
    if (inode !== undefined) this.#keep(inode, inode.pending.length);
    if (this.#lies) return;
    for (const change of this.#changes) if (change.folder === path) set(this.#durable, change);
    this.#changes = this.#changes.filter(({ folder }) => folder !== path);
  }

  #alive(): void {
    if (this.#dead) throw diskError('EIO');
  }

  #create(path: string, bytes: Buffer): Inode {
    const pending = bytes.length === 0 ? [] : [{ at: 0, bytes }];
    const inode: Inode = { id: this.#next++, durable: Buffer.alloc(0), shown: Buffer.from(bytes), pending };
    this.#change(path, [[path, inode]]);
    return inode;
  }

  #change(path: string, names: NameChange['names']): void {
    const change = { folder: dirname(path), names };
    set(this.#shown, change);
    this.#changes.push(change);
  }

  #keep(inode: Inode, count: number): void {
    if (this.#lies) return;
    for (const write of inode.pending.splice(0, count)) inode.durable = put(inode.durable, write);
  }

  // Of each write that was not synced all, nothing, or some sectors.
  #survivor({ id, durable, pending }: Inode): Inode {
    let bytes = Buffer.from(durable);
    for (const write of pending) {
      const fate = this.#random();
      for (let at = 0; at < write.bytes.length;) {
        const end = Math.min(write.bytes.length, at + SECTOR - ((write.at + at) % SECTOR));
        const kept = fate < 0.33 || (fate < 0.66 && this.#random() < 0.5);
        if (kept) bytes = put(bytes, { at: write.at + at, bytes: write.bytes.subarray(at, end) });
        at = end;
      }
    }
    return { id, durable: bytes, shown: Buffer.from(bytes), pending: [] };
  }
}

function put(into: Buffer, { at, bytes }: Write): Buffer<ArrayBuffer> {
  const end = at + bytes.length;
  const whole = Buffer.alloc(Math.max(into.length, end));
  into.copy(whole);
  bytes.copy(whole, at);
  return whole;
}

function set(names: Map<string, Inode>, change: NameChange): void {
  for (const [path, inode] of change.names) {
    if (inode === null) names.delete(path);
    else names.set(path, inode);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
