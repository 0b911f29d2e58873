import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../../core/durable.ts';
import { Fault } from '../../core/fault.ts';
import { diskErrorName } from '../disk.ts';
import { lockFile } from '../lock.ts';
import type { ForkProof } from './round.ts';
import { formatState, parseState, type LogState } from './state.ts';

const PRIVATE = 0o600;

/** The one file that a monitor keeps, held by one process at a time; a fork's proof lies beside it. */
export class StateFile implements Disposable {
  readonly #file: string;
  readonly #lock: Disposable;

  /** @throws Fault `ledger.in_use` when another monitor holds it, `ledger.unavailable` when it cannot be written. */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#lock = lockFile(`${file}.lock`);
    } catch (cause) {
      if (!(cause instanceof Fault) || cause.code !== 'ledger.in_use') throw cause;
      const message = `another monitor uses the state ${file}; stop it, or name another file with --state`;
      throw new Fault('conflict', 'ledger.in_use', message, { cause });
    }
  }

  /** What was remembered; nothing before the first round. @throws Fault `ledger.monitor_state` when it is damaged. */
  async read(): Promise<readonly LogState[]> {
    let text: string;
    try {
      text = await readFile(this.#file, 'utf8');
    } catch (cause) {
      if (diskErrorName(cause) === 'ENOENT') return [];
      throw new Fault('unavailable', 'ledger.unavailable', `cannot read ${this.#file}`, { cause });
    }
    return parseState(text, this.#file);
  }

  /** Puts the state in the place of the last one; it is durable then, and a reader sees one of both whole. */
  async write(logs: readonly LogState[]): Promise<void> {
    await replace(this.#file, formatState(logs));
  }

  /** Keeps the proof of a fork for good and gives the name of its file; the first of a log's key stays. */
  async keep(keyId: string, proof: ForkProof & { readonly vkey: string }): Promise<string> {
    const file = `${this.#file}.fork-${keyId}`;
    await replace(file, `${JSON.stringify({ v: 1, ...proof }, null, 2)}\n`);
    return path.basename(file);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

async function replace(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    await using handle = await open(temporary, 'w', PRIVATE);
    await handle.writeFile(text);
    await handle.sync();
    await rename(temporary, file);
    await syncFolder(path.dirname(file));
  } catch (cause) {
    const message = `cannot write ${file} (${diskErrorName(cause)})`;
    throw new Fault('unavailable', 'ledger.unavailable', message, { cause });
  }
}
