import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { Fault } from '../../core/fault.ts';

// PKWARE APPNOTE 6.3: the sizes and signatures of the records that are read here. The archive is somebody else's, so
// every number in it is checked before it is used.
const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const MAX_DIRECTORY = 16 * 1024 * 1024;

export interface ExtractOptions {
  readonly member: string;
  readonly to: string;
  /** What the member must have; more is refused before it is written. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  onProgress(done: number): void;
}

/**
 * Writes one member of a ZIP archive to a file.
 * @throws Fault `gateway.bad_archive` for an archive that is damaged, encrypted, ZIP64 or lies about its sizes.
 */
export async function extractMember(archive: string, options: ExtractOptions): Promise<void> {
  const file = await open(archive);
  try {
    const entry = await findEntry(file, options.member);
    if (entry.bytes !== options.bytes)
      throw bad(`the member has ${entry.bytes} bytes, expected ${options.bytes}`);
    await writeMember(file, entry, options);
  } finally {
    await file.close();
  }
}

interface Entry {
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly localAt: number;
}

async function findEntry(file: FileHandle, member: string): Promise<Entry> {
  const { size } = await file.stat();
  const end = await readEnd(file, size);
  const directory = await readAt(file, end.at, end.bytes);
  for (let at = 0; at + ENTRY_BYTES <= directory.length;) {
    if (directory.readUInt32LE(at) !== ENTRY_SIGNATURE) throw bad('the directory is damaged');
    const nameBytes = directory.readUInt16LE(at + 28);
    const next =
      at + ENTRY_BYTES + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    const name = directory.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    if (name === member) return readEntry(directory.subarray(at, at + ENTRY_BYTES), size);
    at = next;
  }
  throw bad('the member is not in it');
}

async function readEnd(file: FileHandle, size: number): Promise<{ at: number; bytes: number }> {
  const tailBytes = Math.min(size, END_BYTES + MAX_COMMENT);
  const tail = await readAt(file, size - tailBytes, tailBytes);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    const bytes = tail.readUInt32LE(at + 12);
    const directoryAt = tail.readUInt32LE(at + 16);
    if (bytes > MAX_DIRECTORY || directoryAt + bytes > size) throw bad('the directory lies outside of it');
    return { at: directoryAt, bytes };
  }
  throw bad('it has no end record');
}

function readEntry(record: Buffer, size: number): Entry {
  const flags = record.readUInt16LE(8);
  const entry = {
    method: record.readUInt16LE(10),
    packedBytes: record.readUInt32LE(20),
    bytes: record.readUInt32LE(24),
    localAt: record.readUInt32LE(42),
  };
  if ((flags & ENCRYPTED) !== 0) throw bad('the member is encrypted');
  if (entry.method !== STORED && entry.method !== DEFLATED)
    throw bad('the member is packed in an unknown way');
  if (entry.localAt + LOCAL_BYTES + entry.packedBytes > size) throw bad('the member lies outside of it');
  return entry;
}

async function writeMember(file: FileHandle, entry: Entry, options: ExtractOptions): Promise<void> {
  const local = await readAt(file, entry.localAt, LOCAL_BYTES);
  if (local.readUInt32LE(0) !== LOCAL_SIGNATURE) throw bad('the member is not where the directory says');
  const start = entry.localAt + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
  const target = await open(options.to, 'w');
  try {
    const unpacked = counted(options, target);
    if (entry.packedBytes > 0) {
      const range = { start, end: start + entry.packedBytes - 1, autoClose: false };
      const packed = file.createReadStream(range);
      const { signal } = options;
      if (entry.method === STORED) await pipeline(packed, unpacked, { signal });
      else await pipeline(packed, createInflateRaw(), unpacked, { signal });
    }
    if ((await target.stat()).size !== entry.bytes) throw bad('the member ends early');
    await target.sync();
  } catch (error) {
    throw error instanceof Fault || options.signal.aborted ? error : bad('the member is damaged', error);
  } finally {
    await target.close();
  }
}

// A member that unpacks to more than the directory says is a bomb: nothing of the excess is written.
function counted(
  options: ExtractOptions,
  target: FileHandle,
): (chunks: AsyncIterable<Buffer>) => Promise<void> {
  return async (chunks) => {
    let done = 0;
    for await (const chunk of chunks) {
      done += chunk.length;
      if (done > options.bytes) throw bad('the member unpacks to more than it says');
      await target.write(chunk);
      options.onProgress(done);
    }
  };
}

async function readAt(file: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, at);
  if (bytesRead < bytes) throw bad('it ends early');
  return buffer;
}

function bad(what: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'gateway.bad_archive', `the archive cannot be used: ${what}`, { cause });
}
