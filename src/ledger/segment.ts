import { crc32 } from 'node:zlib';

import { Fault } from '../core/fault.ts';

/*
 * A write-ahead segment, all numbers little-endian:
 *   header, 64 bytes: magic "SKWAL001", log id (8 ASCII), first batch u64, first index u64, zeros, CRC-32 of the 60 bytes
 *   batches:          magic u32, CRC-32 of what follows u32, batch u64, first index u64, count u32, length u32, payload
 *   payload:          as a C2SP entry bundle: length u16 big-endian and entry, `count` times
 *   then zeros to the end of the file.
 */
export const SEGMENT_HEADER_BYTES = 64;
export const BATCH_HEADER_BYTES = 32;
const SEGMENT_MAGIC = 'SKWAL001';
const BATCH_MAGIC = Buffer.from('SKB1');
const HEADER_CRC_AT = 60;

/** Where a segment begins; batches of earlier segments from `firstBatch` on are void. */
export interface SegmentStart {
  readonly logId: string;
  readonly firstBatch: number;
  readonly firstIndex: number;
}

export interface Batch {
  readonly batch: number;
  readonly firstIndex: number;
  readonly entries: readonly Buffer[];
  /** Offset of the byte after the batch. */
  readonly end: number;
}

export function encodeSegmentHeader(start: SegmentStart): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(SEGMENT_MAGIC, 0, 'latin1');
  header.write(start.logId, 8, 'latin1');
  header.writeBigUInt64LE(BigInt(start.firstBatch), 16);
  header.writeBigUInt64LE(BigInt(start.firstIndex), 24);
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_CRC_AT)), HEADER_CRC_AT);
  return header;
}

/** Null when the bytes are not a whole segment header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentStart | null {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.toString('latin1', 0, 8) !== SEGMENT_MAGIC) return null;
  if (bytes.readUInt32LE(HEADER_CRC_AT) !== crc32(bytes.subarray(0, HEADER_CRC_AT))) return null;
  return {
    logId: bytes.toString('latin1', 8, 16),
    firstBatch: Number(bytes.readBigUInt64LE(16)),
    firstIndex: Number(bytes.readBigUInt64LE(24)),
  };
}

/** Bytes that a batch of these entries takes in a segment. */
export function batchBytes(entries: readonly Buffer[]): number {
  return entries.reduce((sum, entry) => sum + 2 + entry.length, BATCH_HEADER_BYTES);
}

export function encodeBatch(batch: number, firstIndex: number, entries: readonly Buffer[]): Buffer {
  const bytes = Buffer.allocUnsafe(batchBytes(entries));
  bytes.set(BATCH_MAGIC, 0);
  bytes.writeBigUInt64LE(BigInt(batch), 8);
  bytes.writeBigUInt64LE(BigInt(firstIndex), 16);
  bytes.writeUInt32LE(entries.length, 24);
  bytes.writeUInt32LE(bytes.length - BATCH_HEADER_BYTES, 28);
  writeBundle(bytes.subarray(BATCH_HEADER_BYTES), entries);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** The batch that begins at `offset`, or null when no whole one does. */
export function decodeBatch(bytes: Buffer, offset: number): Batch | null {
  if (offset + BATCH_HEADER_BYTES > bytes.length) return null;
  if (!bytes.subarray(offset, offset + 4).equals(BATCH_MAGIC)) return null;
  const end = offset + BATCH_HEADER_BYTES + bytes.readUInt32LE(offset + 28);
  if (end > bytes.length) return null;
  if (bytes.readUInt32LE(offset + 4) !== crc32(bytes.subarray(offset + 8, end))) return null;
  const entries = readBundle(bytes.subarray(offset + BATCH_HEADER_BYTES, end));
  if (entries === null || entries.length !== bytes.readUInt32LE(offset + 24)) return null;
  return {
    batch: Number(bytes.readBigUInt64LE(offset + 8)),
    firstIndex: Number(bytes.readBigUInt64LE(offset + 16)),
    entries,
    end,
  };
}

/** The offset of a whole batch at or after `offset` whose number is at least `batch`, or null. */
export function findBatch(bytes: Buffer, offset: number, batch: number): number | null {
  for (let at = bytes.indexOf(BATCH_MAGIC, offset); at >= 0; at = bytes.indexOf(BATCH_MAGIC, at + 1)) {
    const found = decodeBatch(bytes, at);
    if (found !== null && found.batch >= batch) return at;
  }
  return null;
}

/** A C2SP entry bundle: each entry behind its length in two bytes, big-endian. */
export function encodeBundle(entries: readonly Buffer[]): Buffer {
  const bytes = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  writeBundle(bytes, entries);
  return bytes;
}

/** The entries of a bundle as views of `bytes`, or null when it is cut off. */
export function readBundle(bytes: Buffer): Buffer[] | null {
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 2 > bytes.length) return null;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) return null;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** Something on the disk is not what the log wrote; `fix` is a sentence for the person who operates it. */
export function corruption(file: string, what: string, fix: string): Fault {
  return new Fault('internal', 'ledger.corrupt', `${file}: ${what}. ${fix}`, { details: { file } });
}

function writeBundle(bytes: Buffer, entries: readonly Buffer[]): void {
  let at = 0;
  for (const entry of entries) {
    bytes.writeUInt16BE(entry.length, at);
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
}
