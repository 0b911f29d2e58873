import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../core/fault.ts';
import { SiteClient } from '../egress/site-client.ts';
import type { LogSource } from '../ledger/check.ts';
import { declaredTrust, siteAccess } from '../server/site-api.ts';
import { say, type Io } from './io.ts';
import { ledgerCommand } from './ledger.ts';

/** `sekisho ledger` over a folder of this machine or the address of a log. */
export async function runLedger(args: readonly string[], io: Io): Promise<number> {
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

// Entry bundles are for auditors, so the key goes with every request to our own site, and to nobody else.
async function remoteLog(url: string, io: Io): Promise<LogSource & AsyncDisposable> {
  const own = await siteAccess(io.env);
  const isOwn = URL.parse(url)?.origin === URL.parse(own.url)?.origin;
  const client = new SiteClient(url, isOwn ? own.trust : declaredTrust(io.env));
  const base = URL.parse(url)?.pathname.replace(/\/$/, '') ?? '';
  const headers = isOwn && own.key !== null ? { authorization: `Bearer ${own.key.reveal()}` } : {};
  return {
    async read(name) {
      const reply = await client.send({ method: 'GET', path: `${base}/${name}`, headers, signal: io.signal });
      const bytes = await reply.bytes();
      if (reply.status === 200) return bytes;
      if (reply.status === 404) return null;
      throw new Fault('denied', 'cli.refused', refusedText(io, { status: reply.status, name }));
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

function refusedText(io: Io, { status, name }: { readonly status: number; readonly name: string }): string {
  return say(io, {
    ja: `サイトは ${name} に ${status} と答えた。記録を読むには監査役の鍵が要る。SEKISHO_KEY の鍵は SEKISHO_URL のサイトにだけ送られる`,
    en: `the site answered ${status} for ${name}; entries need the key of an auditor. The key of SEKISHO_KEY is sent to the site of SEKISHO_URL alone`,
  });
}
