import { crc32 } from 'node:zlib';

import { DAY } from '../core/duration.ts';
import type { World } from '../core/world.ts';
import type { Disk } from './disk.ts';
import { SLOT_BYTES, SlotFile } from './slots.ts';
import { unwrapKey, wrapKey, WRAPPED_BYTES } from './wrap.ts';

/** The key under which a tenant's request keys of one UTC day are wrapped. */
export interface DayKey {
  readonly slot: number;
  readonly key: Buffer;
  /** Resolves once the key is on the disk. */
  readonly durable: Promise<void>;
}

/*
 * A slot: magic "SKD1", state u8 (1 live, 2 erased), tenant length u8, day u32 at 8, wrapped key at 12, tenant at 72,
 * CRC-32 of the rest at 252. Numbers little-endian; the day counts from 1970.
 */
const MAGIC = 'SKD1';
const LIVE = 1;
const ERASED = 2;
const WRAPPED_AT = 12;
const TENANT_AT = 72;
const CRC_AT = SLOT_BYTES - 4;
const REMEMBERED_KEYS = 10_000;

/** One random key a tenant and day, wrapped by the site's master key; overwriting a slot erases that day. */
export class DayKeys implements AsyncDisposable {
  readonly #slots: SlotFile;
  readonly #master: Buffer;
  readonly #world: World;
  readonly #known = new Map<string, DayKey>();

  private constructor(slots: SlotFile, master: Buffer, world: World) {
    this.#slots = slots;
    this.#master = master;
    this.#world = world;
  }

  static async open(disk: Disk, path: string, own: { master: Buffer; world: World }): Promise<DayKeys> {
    const keys = new DayKeys(await SlotFile.open(disk, path), own.master, own.world);
    const yesterday = dayOf(own.world) - 1;
    for await (const { slot, bytes } of keys.#slots.scan(0)) {
      const found = decode(bytes);
      if (found === null || found.day < yesterday) continue;
      const key = unwrapKey(found.wrapped, own.master, about(found.tenant, found.day));
      if (key !== null) keys.#remember(found.tenant, found.day, { slot, key, durable: Promise.resolve() });
    }
    return keys;
  }

  /** The tenant's key of today, drawn when it is the first one. */
  today(tenant: string): DayKey {
    const day = dayOf(this.#world);
    const known = this.#known.get(nameOf(tenant, day));
    if (known !== undefined) return known;
    const key = this.#world.random.bytes(32);
    const iv = this.#world.random.bytes(12);
    const wrapped = wrapKey(key, this.#master, { about: about(tenant, day), iv });
    const made: DayKey = { ...this.#slots.add(encode({ tenant, day, wrapped })), key };
    this.#remember(tenant, day, made);
    // A key that never reached the disk must not be used again.
    made.durable.catch(() => this.#known.delete(nameOf(tenant, day)));
    return made;
  }

  /** The key in a slot, or null when it was erased. */
  async read(slot: number): Promise<Buffer | null> {
    const bytes = await this.#slots.read(slot);
    const found = bytes === null ? null : decode(bytes);
    return found === null ? null : unwrapKey(found.wrapped, this.#master, about(found.tenant, found.day));
  }

  /** Every key that was not erased; `day` counts from 1970 in UTC. */
  async *list(): AsyncGenerator<{ slot: number; tenant: string; day: number }> {
    for await (const { slot, bytes } of this.#slots.scan(0)) {
      const found = decode(bytes);
      if (found !== null) yield { slot, tenant: found.tenant, day: found.day };
    }
  }

  /** Wraps nothing more under a key: the next request of that day draws another. */
  retire({ slot, tenant, day }: { slot: number; tenant: string; day: number }): void {
    const name = nameOf(tenant, day);
    if (this.#known.get(name)?.slot === slot) this.#known.delete(name);
  }

  /** Overwrites a key that was retired; of its slot the day is left. Resolves once that is durable. */
  erase({ slot, day }: { slot: number; day: number }): Promise<void> {
    const nothing = { tenant: '', day, wrapped: Buffer.alloc(WRAPPED_BYTES) };
    return this.#slots.overwrite(slot, encode(nothing, ERASED));
  }

  async settled(): Promise<void> {
    await this.#slots.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#slots[Symbol.asyncDispose]();
  }

  #remember(tenant: string, day: number, key: DayKey): void {
    this.#known.set(nameOf(tenant, day), key);
    if (this.#known.size <= REMEMBERED_KEYS) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function dayOf(world: World): number {
  return Math.floor(world.clock.now() / DAY);
}

function nameOf(tenant: string, day: number): string {
  return `${day}/${tenant}`;
}

function about(tenant: string, day: number): string {
  return `sekisho/day-key/${nameOf(tenant, day)}`;
}

interface Slot {
  readonly tenant: string;
  readonly day: number;
  readonly wrapped: Buffer;
}

function encode({ tenant, day, wrapped }: Slot, state = LIVE): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes[4] = state;
  bytes[5] = tenant.length;
  bytes.writeUInt32LE(day, 8);
  bytes.set(wrapped, WRAPPED_AT);
  bytes.write(tenant, TENANT_AT, 'latin1');
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

function decode(bytes: Buffer): Slot | null {
  if (bytes.toString('latin1', 0, 4) !== MAGIC || bytes[4] !== LIVE) return null;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return null;
  const length = bytes.readUInt8(5);
  return {
    tenant: bytes.toString('latin1', TENANT_AT, TENANT_AT + length),
    day: bytes.readUInt32LE(8),
    wrapped: bytes.subarray(WRAPPED_AT, WRAPPED_AT + WRAPPED_BYTES),
  };
}
