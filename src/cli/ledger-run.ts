import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../core/fault.ts';
import { LONGEST_FILE, type LogSource } from '../ledger/check.ts';
import type { Io } from './io.ts';
import { ledgerCommand } from './ledger.ts';
import { logClient } from './log-client.ts';

/** `sekisho ledger` over a folder of this machine or the address of a log, or of the stopped site here. */
export async function runLedger(args: readonly string[], io: Io): Promise<number> {
  const [verb, ...rest] = args;
  if (verb === 'rotate' && !rest.includes('--help')) {
    const { rotateCommand } = await import('./ledger-rotate.ts');
    return rotateCommand(rest, io);
  }
  if (verb === 'adopt-machine' && !rest.includes('--help')) {
    const { adoptMachineCommand } = await import('./ledger-adopt.ts');
    return adoptMachineCommand(rest, io);
  }
  return ledgerCommand(args, {
    out: (text) => io.out(text),
    err: (text) => io.err(text),
    env: io.env,
    open: async (target) => (/^https?:\/\//.test(target) ? remoteLog(target, io) : localLog(target)),
  });
}

function localLog(folder: string): LogSource & AsyncDisposable {
  return {
    async read(name) {
      try {
        return await readFile(path.join(folder, name));
      } catch (cause) {
        if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
        throw new Fault('unavailable', 'cli.unreadable', `cannot read ${name} in ${folder}`, { cause });
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function remoteLog(url: string, io: Io): Promise<LogSource & AsyncDisposable> {
  const client = await logClient(url, io);
  return {
    read: (name) => client.read(`/${name}`, LONGEST_FILE),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
