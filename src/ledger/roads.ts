import { crc32 } from 'node:zlib';

import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import type { DayKeys } from './day-keys.ts';
import type { Disk } from './disk.ts';
import { hmac, HmacStream } from './hmac.ts';
import { SLOT_BYTES, SlotFile } from './slots.ts';
import type { CommittedField, RoadKeys, RoadOwner } from './types.ts';
import { unwrapKey, wrapKey, WRAPPED_BYTES } from './wrap.ts';

/** What a slot says of a road; `key` is the request key, null once erased, and then nobody is the caller. */
export interface RoadRecord {
  readonly rid: string;
  readonly owner: RoadOwner;
  readonly key: Buffer | null;
  readonly erased: boolean;
}

/*
 * A slot: magic "SKR1", state u8 (1 live, 2 erased), lengths of rid, tenant and caller u8 each, slot of the day key u32
 * at 8, wrapped request key at 12, rid at 72, tenant at 104, caller at 168, CRC-32 of the rest at 252.
 */
const MAGIC = 'SKR1';
const LIVE = 1;
const ERASED = 2;
const DAY_SLOT_AT = 8;
const WRAPPED_AT = 12;
const RID_AT = 72;
const TENANT_AT = 104;
const CALLER_AT = 168;
const CRC_AT = SLOT_BYTES - 4;
// A slot that was stored anew after a refusal lies this far behind the first at most.
const NEAR_SLOTS = 4096;
const RID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;
const OWNER_ID = /^[\x21-\x7e]{1,64}$/;

/** A road of this process: its commitments, and the slot that keeps its request key. */
export class OpenRoad implements RoadKeys {
  readonly rid: string;
  readonly owner: RoadOwner;
  readonly #key: Buffer;
  readonly #file: RoadFile;
  #slot: number;
  #durable: Promise<void>;
  #isDurable = false;

  /** Made by `RoadFile.openRoad`. */
  constructor(file: RoadFile, road: { rid: string; owner: RoadOwner; key: Buffer }) {
    this.rid = road.rid;
    this.owner = road.owner;
    this.#key = road.key;
    this.#file = file;
    ({ slot: this.#slot, durable: this.#durable } = this.#store());
  }

  get slot(): number {
    return this.#slot;
  }

  get isDurable(): boolean {
    return this.#isDurable;
  }

  /** Resolves once the request key is on the disk; after a refusal each call tries anew. */
  async makeDurable(): Promise<void> {
    const attempt = this.#durable;
    try {
      await attempt;
    } catch {
      // Of the calls that saw this refusal, the first stores the key again and the others wait for it.
      if (this.#durable === attempt) ({ slot: this.#slot, durable: this.#durable } = this.#store());
      await this.#durable;
    }
    this.#isDurable = true;
  }

  commit(field: CommittedField, bytes: Uint8Array | string): string {
    return hmac(fieldKey(this.#key, field), bytes, 'base64');
  }

  commitStream(field: CommittedField): { update(bytes: Uint8Array): void; digest(): string } {
    const stream = new HmacStream(fieldKey(this.#key, field));
    return { update: (bytes) => stream.update(bytes), digest: () => stream.digest('base64') };
  }

  #store(): { slot: number; durable: Promise<void> } {
    const stored = this.#file.store(this.rid, this.owner, this.#key);
    // Whoever appends hears of a refusal; a road that is never appended to has nobody to tell.
    stored.durable.catch(() => {});
    return stored;
  }
}

/** k = HMAC-SHA256(request key, `sekisho/c/<field>`). */
export function fieldKey(requestKey: Buffer, field: CommittedField): Buffer {
  return Buffer.from(hmac(requestKey, `sekisho/c/${field}`, 'latin1'), 'latin1');
}

/** The file of request keys, each wrapped by its tenant's key of the day. */
export class RoadFile implements AsyncDisposable {
  readonly #slots: SlotFile;
  readonly #days: DayKeys;
  readonly #world: World;

  private constructor(slots: SlotFile, days: DayKeys, world: World) {
    this.#slots = slots;
    this.#days = days;
    this.#world = world;
  }

  static async open(disk: Disk, path: string, own: { days: DayKeys; world: World }): Promise<RoadFile> {
    return new RoadFile(await SlotFile.open(disk, path), own.days, own.world);
  }

  /** The slot that the next road takes. */
  get next(): number {
    return this.#slots.next;
  }

  /**
   * Draws a request key and begins to store it.
   * @throws Fault `ledger.bad_road` for an id or owner that does not fit a slot.
   */
  openRoad(rid: string, owner: RoadOwner): OpenRoad {
    if (!RID.test(rid)) throw new Fault('invalid', 'ledger.bad_road', 'expected a receipt id');
    if (!OWNER_ID.test(owner.tenant) || !OWNER_ID.test(owner.caller))
      throw new Fault('invalid', 'ledger.bad_road', 'expected tenant and caller of 1 to 64 ASCII characters');
    return new OpenRoad(this, { rid, owner, key: this.#world.random.bytes(32) });
  }

  /** Called by the road itself. */
  store(rid: string, owner: RoadOwner, key: Buffer): { slot: number; durable: Promise<void> } {
    const day = this.#days.today(owner.tenant);
    const wrapped = wrapKey(key, day.key, { about: about(rid), iv: this.#world.random.bytes(12) });
    const { slot, durable } = this.#slots.add(encode({ rid, owner, daySlot: day.slot, wrapped }));
    return { slot, durable: bothDurable(day.durable, durable) };
  }

  /** Resolves when the file takes slots again; spends one. */
  probe(): Promise<void> {
    return this.#slots.add(Buffer.alloc(SLOT_BYTES)).durable;
  }

  /** The record in a slot, or null when it holds none of this road. */
  async read(slot: number, rid: string): Promise<RoadRecord | null> {
    const bytes = await this.#slots.read(slot);
    const found = bytes === null ? null : decode(bytes);
    if (found === null || found.rid !== rid) return null;
    const day = found.live ? await this.#days.read(found.daySlot) : null;
    const key = day === null ? null : unwrapKey(found.wrapped, day, about(rid));
    return { rid, owner: found.owner, key, erased: !found.live };
  }

  /**
   * Overwrites the road's key, in each slot that ever held it; resolves once that is durable. What is left of a slot
   * says that it was erased, the id and the organisation, so that the receipt keeps its readers.
   */
  async erase(slot: number, rid: string): Promise<void> {
    const overwritten: Promise<void>[] = [];
    for await (const { slot: at, bytes } of this.#slots.scan(Math.max(0, slot - NEAR_SLOTS))) {
      if (at > slot + NEAR_SLOTS) break;
      const found = decode(bytes);
      if (found !== null && found.rid === rid) overwritten.push(this.#slots.overwrite(at, erased(found)));
    }
    await Promise.all(overwritten);
  }

  /** The keys of tenants and days; nothing of a day opens once its key is erased. */
  get days(): DayKeys {
    return this.#days;
  }

  /** Every request key in the file, with the slot of the day key that wraps it; what is being stored is waited for. */
  async *live(): AsyncGenerator<{ slot: number; rid: string; daySlot: number }> {
    await Promise.all([this.#slots.settled(), this.#days.settled()]);
    for await (const { slot, bytes } of this.#slots.scan(0)) {
      const found = decode(bytes);
      if (found?.live === true) yield { slot, rid: found.rid, daySlot: found.daySlot };
    }
  }

  /** Overwrites single slots, as `erase` does. */
  async eraseSlots(slots: readonly number[]): Promise<void> {
    await Promise.all(
      slots.map(async (slot) => {
        const bytes = await this.#slots.read(slot);
        const found = bytes === null ? null : decode(bytes);
        if (found !== null) await this.#slots.overwrite(slot, erased(found));
      }),
    );
  }

  /** The road of every slot at or after `from`. */
  async *scan(from: number): AsyncGenerator<{ slot: number; rid: string }> {
    for await (const { slot, bytes } of this.#slots.scan(from)) {
      const found = decode(bytes);
      if (found !== null) yield { slot, rid: found.rid };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#slots[Symbol.asyncDispose]();
  }
}

async function bothDurable(day: Promise<void>, road: Promise<void>): Promise<void> {
  await Promise.all([day, road]);
}

function about(rid: string): string {
  return `sekisho/request-key/${rid}`;
}

interface Slot {
  readonly rid: string;
  readonly owner: RoadOwner;
  readonly daySlot: number;
  readonly wrapped: Buffer;
}

function erased({ rid, owner }: Slot): Buffer {
  const nobody = { tenant: owner.tenant, caller: '' };
  return encode({ rid, owner: nobody, daySlot: 0, wrapped: Buffer.alloc(WRAPPED_BYTES) }, ERASED);
}

function encode({ rid, owner, daySlot, wrapped }: Slot, state = LIVE): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.set([state, rid.length, owner.tenant.length, owner.caller.length], 4);
  bytes.writeUInt32LE(daySlot, DAY_SLOT_AT);
  bytes.set(wrapped, WRAPPED_AT);
  bytes.write(rid, RID_AT, 'latin1');
  bytes.write(owner.tenant, TENANT_AT, 'latin1');
  bytes.write(owner.caller, CALLER_AT, 'latin1');
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

function decode(bytes: Buffer): (Slot & { readonly live: boolean }) | null {
  if (bytes.toString('latin1', 0, 4) !== MAGIC) return null;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return null;
  const text = (at: number, lengthAt: number): string =>
    bytes.toString('latin1', at, at + bytes.readUInt8(lengthAt));
  return {
    live: bytes[4] === LIVE,
    rid: text(RID_AT, 5),
    owner: { tenant: text(TENANT_AT, 6), caller: text(CALLER_AT, 7) },
    daySlot: bytes.readUInt32LE(DAY_SLOT_AT),
    wrapped: bytes.subarray(WRAPPED_AT, WRAPPED_AT + WRAPPED_BYTES),
  };
}
