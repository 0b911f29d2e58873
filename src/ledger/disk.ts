import { close, constants, fdatasync, fstat, open, read, write } from 'node:fs';
import { open as openHandle, readdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { makePrivateFolder } from '../core/durable.ts';

/** An open file; `write` writes all bytes or rejects, `read` gives fewer at the end of the file. */
export interface DiskFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  read(length: number, position: number): Promise<Buffer>;
  datasync(): Promise<void>;
  size(): Promise<number>;
  /** Tells the file from every copy of it on the same machine: inode and birth time in ns. */
  identity(): Promise<string>;
  close(): Promise<void>;
}

export type OpenHow = 'update' | 'synced';

/** The file operations whose failure the ledger must survive; a port, so that a test can plant a failing disk. */
export interface Disk {
  /**
   * Creates a missing file, with mode 0600. What is written to an `update` file is durable after its `datasync`, to a
   * `synced` one when its `write` resolves.
   */
  open(path: string, how: OpenHow): Promise<DiskFile>;
  /** Null when the file does not exist. */
  readFile(path: string): Promise<Buffer | null>;
  /** Whether a file that exists is this user's or root's, and nobody else may read or write it. */
  isPrivate(path: string): Promise<boolean>;
  /** A reader sees the old or the new bytes, never a part; says nothing about power loss. */
  replace(path: string, bytes: Uint8Array, mode?: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Empty when the directory does not exist. */
  list(directory: string): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** With all in it; nothing when it does not exist. */
  removeDirectory(path: string): Promise<void>;
  /** With its missing parents, for their owner alone. */
  makeDirectory(path: string): Promise<void>;
  /** Makes a file's bytes or a directory's names durable. */
  sync(path: string): Promise<void>;
}

const PRIVATE = 0o600;
const PUBLIC = 0o644;
const OTHERS = 0o077;

// On Linux the write itself is then what fdatasync would be, for half of the calls. Elsewhere the flag may leave the bytes
// in the drive's own cache, which fdatasync does not.
const SYNCED_FLAG = process.platform === 'linux' ? constants.O_DSYNC : 0;

// Callbacks cost less than file handles.
const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const syncFile = promisify(fdatasync);

/** The machine's disk. */
export const realDisk: Disk = {
  async open(path, how) {
    const flags = constants.O_RDWR | constants.O_CREAT;
    if (how === 'update') return realFile(await openFile(path, flags, PRIVATE));
    const file = realFile(await openFile(path, flags | SYNCED_FLAG, PRIVATE));
    return SYNCED_FLAG === 0 ? syncingFile(file) : file;
  },
  readFile: (path) => nullIfMissing(readFile(path)),
  async isPrivate(path) {
    const { mode, uid } = await stat(path);
    return (mode & OTHERS) === 0 && (uid === 0 || uid === process.geteuid?.());
  },
  async replace(path, bytes, mode = PUBLIC) {
    const temporary = `${path}.tmp`;
    await writeFile(temporary, bytes, { mode });
    await rename(temporary, path);
  },
  rename,
  async list(directory) {
    return (await nullIfMissing(readdir(directory))) ?? [];
  },
  remove: unlink,
  removeDirectory: (path) => rm(path, { recursive: true, force: true }),
  makeDirectory: makePrivateFolder,
  async sync(path) {
    await using handle = await openHandle(path, 'r');
    await handle.sync();
  },
};

/** A file whose every write is followed by its sync. */
export function syncingFile(file: DiskFile): DiskFile {
  return {
    ...file,
    async write(bytes, position) {
      await file.write(bytes, position);
      await file.datasync();
    },
  };
}

/** The code of a system error (`ENOSPC`), or its message. */
export function diskErrorName(thrown: unknown): string {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function realFile(fd: number): DiskFile {
  return {
    async write(bytes, position) {
      let done = 0;
      while (done < bytes.length) done += await writeSome(fd, bytes.subarray(done), position + done);
    },
    async read(length, position) {
      const bytes = Buffer.allocUnsafe(length);
      let done = 0;
      while (done < length) {
        const count = await readSome(fd, bytes.subarray(done), position + done);
        if (count === 0) break;
        done += count;
      }
      return bytes.subarray(0, done);
    },
    datasync: () => syncFile(fd),
    size: async () => (await statFile(fd)).size,
    identity: () => identityOf(fd),
    close: () => closeFile(fd),
  };
}

function identityOf(fd: number): Promise<string> {
  return new Promise((resolve, reject) => {
    fstat(fd, { bigint: true }, (error, stats) => {
      if (error === null) resolve(`${stats.ino}-${stats.birthtimeNs}`);
      else reject(error);
    });
  });
}

function writeSome(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

function readSome(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, 0, bytes.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

async function nullIfMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (diskErrorName(error) === 'ENOENT') return null;
    throw error;
  }
}
