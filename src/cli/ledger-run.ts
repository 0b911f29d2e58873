import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../core/fault.ts';
import { SiteClient } from '../egress/site-client.ts';
import type { LogSource } from '../ledger/check.ts';
import type { Io } from './io.ts';
import { ledgerCommand } from './ledger.ts';

/** `sekisho ledger` over a folder of this machine or the address of a log. */
export async function runLedger(args: readonly string[], io: Io): Promise<number> {
  return ledgerCommand(args, {
    out: (text) => io.out(text),
    err: (text) => io.err(text),
    env: io.env,
    open: (target) => (/^https?:\/\//.test(target) ? remoteLog(target, io) : localLog(target)),
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

// Entry bundles are for auditors, so the key of the environment goes with every request.
function remoteLog(url: string, io: Io): LogSource & AsyncDisposable {
  const client = new SiteClient(url);
  const base = new URL(url).pathname.replace(/\/$/, '');
  const { key } = io.env;
  const headers = key === null ? {} : { authorization: `Bearer ${key.reveal()}` };
  return {
    async read(name) {
      const reply = await client.send({ method: 'GET', path: `${base}/${name}`, headers, signal: io.signal });
      const bytes = await reply.bytes();
      if (reply.status === 200) return bytes;
      if (reply.status === 404) return null;
      const message = `the site answered ${reply.status} for ${name}; entries need the key of an auditor in SEKISHO_KEY`;
      throw new Fault('denied', 'cli.refused', message);
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
