import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Fault } from '../core/fault.ts';

/** A file that arrives in pieces, perhaps over several runs, with the digest of what it holds so far. */
export interface Part extends AsyncDisposable {
  readonly path: string;
  /** Bytes received, the last of which may still be on their way to the disk. */
  size(): number;
  /** Resolves when the piece is written. @throws Fault `egress.disk`. */
  write(chunk: Buffer): Promise<void>;
  /** Forgets everything received. */
  restart(): void;
  /** Resolves with the SHA-256 in hex once every byte is on the disk; nothing may be written afterwards. */
  finish(): Promise<string>;
}

/** Opens a partial file and reads what an earlier run left in it. */
export async function openPart(path: string): Promise<Part> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  let hash = createHash('sha256');
  let size = await rehash(path, hash);
  let writes: Promise<unknown> = Promise.resolve();
  return {
    path,
    size: () => size,
    async write(chunk) {
      const position = size;
      hash.update(chunk);
      size += chunk.length;
      writes = writes.then(() => file.write(chunk, 0, chunk.length, position));
      try {
        await writes;
      } catch (cause) {
        throw diskFault(cause);
      }
    },
    restart() {
      hash = createHash('sha256');
      size = 0;
      writes = writes.then(() => file.truncate(0));
    },
    async finish() {
      await writes;
      await file.sync();
      return hash.digest('hex');
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([writes]);
      await file.close();
    },
  };
}

async function rehash(path: string, hash: Hash): Promise<number> {
  await using file = await open(path, constants.O_RDONLY);
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    // Without an encoding the stream yields buffers.
    const bytes = chunk as Buffer;
    hash.update(bytes);
    size += bytes.length;
  }
  return size;
}

function diskFault(cause: unknown): Fault {
  return new Fault('unavailable', 'egress.disk', 'the disk refused the download', { cause });
}
