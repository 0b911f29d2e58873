import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Fault } from '../core/fault.ts';
import { jsonLog } from '../core/log.ts';
import { readTextFile } from '../core/secret-file.ts';
import { systemWorld } from '../core/world.ts';
import { parseVkey } from '../ledger/verify/index.ts';
import { resolveConfig } from '../server/start.ts';
import { addWitnessLog, newWitnessKeys, serveWitness } from '../server/witness.ts';
import { OK, say, USAGE, type Io } from './io.ts';

export const WITNESS_HELP = {
  ja: `使い方: sekisho witness new --out ファイル --name 名 [--json]
        sekisho witness add-log VKEY [--origin 名] [--data 場所]
        sekisho witness serve --key ファイル [--log VKEY]... [--data 場所] [--config ファイル] [--host ホスト] [--port 番号]
他の組織の台帳の証人になる (C2SP tlog-witness)。new は鍵を作り公開鍵 (Ed25519 と ML-DSA-44) を表示する。場所の既定は
./witness-data。そのコピーを二か所で動かしてはならない。
`,
  en: `usage: sekisho witness new --out F --name N [--json]
       sekisho witness add-log VKEY [--origin O] [--data DIR]
       sekisho witness serve --key F [--log VKEY]... [--data DIR] [--config F] [--host H] [--port N]
Witnesses the logs of other organisations (C2SP tlog-witness). new makes the keys and prints both vkeys, Ed25519 and
ML-DSA-44. DIR is ./witness-data by default; never run a copy of it beside it.
`,
};

interface Flags {
  readonly out?: string | undefined;
  readonly name?: string | undefined;
  readonly key?: string | undefined;
  readonly log?: string[] | undefined;
  readonly origin?: string | undefined;
  readonly data?: string | undefined;
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `sekisho witness new|add-log|serve`; needs no site. */
export async function witnessCommand(args: readonly string[], io: Io): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: text,
      name: text,
      key: text,
      log: { type: 'string', multiple: true },
      origin: text,
      data: text,
      config: text,
      host: text,
      port: text,
      json: { type: 'boolean' },
    },
  });
  const [verb, vkey, ...rest] = positionals;
  if (verb === 'new' && vkey === undefined && values.out !== undefined && values.name !== undefined)
    return newKeys(values.out, values.name, { io, json: values.json === true });
  if (verb === 'add-log' && vkey !== undefined && rest.length === 0) {
    await addWitnessLog(folderOf(values), vkey, originOf(vkey, values.origin));
    return OK;
  }
  if (verb === 'serve' && vkey === undefined && values.key !== undefined)
    return serve(values.key, values, io);
  io.err(say(io, WITNESS_HELP));
  return USAGE;
}

async function newKeys(file: string, name: string, { io, json }: { io: Io; json: boolean }): Promise<number> {
  const { text, vkeys } = newWitnessKeys(name, systemWorld());
  // Never over another key: its witness would be gone.
  await using handle = await open(file, 'wx', 0o600);
  await handle.writeFile(text);
  await handle.sync();
  io.out(json ? `${JSON.stringify({ file, vkeys })}\n` : vkeys.map((vkey) => `${vkey}\n`).join(''));
  return OK;
}

async function serve(keyFile: string, flags: Flags, io: Io): Promise<number> {
  const stop = AbortSignal.any([io.signal, terminated()]);
  const { host, config: file } = flags;
  const port = flags.port === undefined ? undefined : Number(flags.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new Fault('invalid', 'core.config', '--port: expected a number from 0 to 65535');
  const { config } = resolveConfig(io.env, { config: file, host, port });
  const world = systemWorld();
  await using serving = await serveWitness({
    config,
    world,
    log: jsonLog(world.clock, io.err),
    dataDir: folderOf(flags),
    keys: readTextFile(keyFile, '--key'),
    logs: (flags.log ?? []).map((vkey) => ({ vkey, origin: originOf(vkey, undefined) })),
  });
  io.out(`ready ${serving.url}\n`);
  const { promise, resolve } = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => resolve(), { once: true });
  if (!stop.aborted) await promise;
  return OK;
}

function folderOf({ data }: Flags): string {
  return data ?? 'witness-data';
}

// A log's key has its origin's name nearly always; Go's checksum database is the exception that people meet.
function originOf(vkey: string, origin: string | undefined): string {
  try {
    const { name } = parseVkey(vkey);
    if (origin?.includes('\n') === true) throw new Error('expected an origin of one line');
    return origin ?? name;
  } catch (thrown) {
    throw new Fault('invalid', 'core.config', `log ${vkey}: ${String(thrown)}`);
  }
}

function terminated(): AbortSignal {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  return stop.signal;
}
