import { hash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder, syncFolder } from '../../core/durable.ts';
import { Fault } from '../../core/fault.ts';
import { lockFile } from '../lock.ts';
import { parseVkey, type Vkey } from '../verify/vkey.ts';

/** What a witness remembers, in one folder that one process holds. */
export interface WitnessState extends Disposable {
  /** The note that was cosigned last, with log's and witness' lines, or null. */
  last(origin: string): Promise<string | null>;
  lastByHash(originHash: string): Promise<string | null>;
  /** Durable when it resolves. */
  keep(origin: string, note: string): Promise<void>;
  /** The keys that may sign for an origin; empty for one that is not known. */
  keysOf(origin: string): Promise<readonly Vkey[]>;
  addLog(vkey: string, origin: string): Promise<void>;
}

/** @throws Fault `ledger.in_use` when another process holds the folder. */
export async function openWitnessState(folder: string): Promise<WitnessState> {
  await makePrivateFolder(folder);
  const lock = lockFile(path.join(folder, 'lock.db'));
  return { ...stateIn(folder), [Symbol.dispose]: () => lock[Symbol.dispose]() };
}

/** The same without holding it, for what only adds a log. */
export function stateIn(folder: string): Omit<WitnessState, keyof Disposable> {
  const logs = path.join(folder, 'logs');
  const noteFile = (originHash: string): string => path.join(folder, `${originHash}.note`);
  return {
    last: async (origin) => readOrNull(noteFile(hash('sha256', origin))),
    lastByHash: async (originHash) => readOrNull(noteFile(originHash)),
    keep: async (origin, note) => replaceDurably(noteFile(hash('sha256', origin)), note),
    async keysOf(origin) {
      return entries((await readOrNull(logs)) ?? '').flatMap((one) => (one.origin === origin ? one.key : []));
    },
    async addLog(vkey, origin) {
      parseVkey(vkey);
      await makePrivateFolder(folder);
      const text = (await readOrNull(logs)) ?? '';
      const line = `${vkey} ${origin}\n`;
      if (!text.split('\n').includes(line.trimEnd())) await replaceDurably(logs, text + line);
    },
  };
}

function entries(text: string): { origin: string; key: Vkey }[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const space = line.indexOf(' ');
      return { key: parseVkey(line.slice(0, space)), origin: line.slice(space + 1) };
    });
}

async function readOrNull(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw new Fault('unavailable', 'ledger.unavailable', `cannot read ${file}`, { cause });
  }
}

// The new bytes are on the disk before they take the old ones' name, so that no cut loses both.
async function replaceDurably(file: string, text: string): Promise<void> {
  try {
    const fresh = `${file}.new`;
    await using handle = await open(fresh, 'w', 0o600);
    await handle.writeFile(text);
    await handle.sync();
    await rename(fresh, file);
    await syncFolder(path.dirname(file));
  } catch (cause) {
    throw new Fault('unavailable', 'ledger.unavailable', `cannot write ${file}`, { cause });
  }
}
