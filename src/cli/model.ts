import { parseArgs } from 'node:util';
import type { Env } from '../core/env.ts';
import { Fault, toFault } from '../core/fault.ts';
import { openModelDesk, storedModels, type ModelDesk, type ShownModel } from '../server/model-desk.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const MODEL_HELP = {
  ja: `使い方: sekisho model list [--json]
       sekisho model pull 名前 [--config ファイル] [--data 場所] [--json]
       sekisho model import ファイル --name 名前 [--licence SPDX] [--config ファイル] [--data 場所] [--json]
モデルを並べる、取り寄せる、取り込む。取り寄せと取り込みは台帳に記録され、中身は SHA-256 で確かめられる。
`,
  en: `usage: sekisho model list [--json]
       sekisho model pull NAME [--config F] [--data DIR] [--json]
       sekisho model import FILE --name N [--licence SPDX] [--config F] [--data DIR] [--json]
Lists, fetches and imports models. Fetches and imports are recorded in the log, and the bytes checked by SHA-256.
`,
};

interface Flags {
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly name: string | undefined;
  readonly licence: string | undefined;
  readonly json: boolean;
}

const MEBIBYTE = 1024 * 1024;
const PERCENT = 100;

/** `sekisho model pull|list|import`. `open` is how the desk is come by; a test brings its own. */
export async function modelCommand(
  args: readonly string[],
  io: Io,
  open: (env: Env, flags: Flags) => Promise<ModelDesk> = openModelDesk,
): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      name: { type: 'string' },
      licence: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { config, data, name, licence, json } = values;
  const flags: Flags = { config, data, name, licence, json };
  const [act, subject, ...rest] = positionals;
  if (act === 'list' && subject === undefined) return list(flags, io);
  if (act === 'pull' && subject !== undefined && rest.length === 0) {
    await using desk = await opened(open, flags, io);
    return show(await pull(subject, desk, io), flags, io);
  }
  if (act === 'import' && subject !== undefined && rest.length === 0 && name !== undefined) {
    await using desk = await opened(open, flags, io);
    return show(await desk.take(subject, { name, licence: licence ?? null }), flags, io);
  }
  io.err(say(io, MODEL_HELP));
  return USAGE;
}

const RUNNING: Text = {
  ja: 'このデータではサイトが動いており、台帳を持っている。止めてから行うこと (動いているサイトは要るモデルを自分で取り寄せる)',
  en: 'a site runs on this data and holds its log; stop it first (a running site fetches the models it needs itself)',
};

const NEVER_STARTED: Text = {
  ja: 'このデータではまだサイトを動かしたことがない。一度 sekisho up で動かすか、--data で別の場所を示すこと',
  en: 'no site was ever started on this data: start it once (sekisho up), or name another with --data',
};

async function opened(
  open: (env: Env, flags: Flags) => Promise<ModelDesk>,
  flags: Flags,
  io: Io,
): Promise<ModelDesk> {
  try {
    return await open(io.env, flags);
  } catch (thrown) {
    const fault = toFault(thrown);
    if (fault.code === 'server.never_started')
      throw new Fault('conflict', 'cli.never_started', say(io, NEVER_STARTED), { cause: fault });
    if (fault.code !== 'ledger.in_use') throw fault;
    throw new Fault('conflict', 'cli.site_running', say(io, RUNNING), { cause: fault });
  }
}

async function list(flags: Flags, io: Io): Promise<number> {
  const models = await storedModels(io.env, flags);
  if (flags.json) io.out(`${JSON.stringify(models)}\n`);
  else for (const model of models) io.out(`${lineOf(model)}\n`);
  return OK;
}

async function pull(name: string, desk: ModelDesk, io: Io): Promise<ShownModel> {
  const progress = progressLine(name, io);
  try {
    return await desk.pull(name, { signal: io.signal, onProgress: progress.at });
  } finally {
    progress.end();
  }
}

function show(model: ShownModel, flags: Flags, io: Io): number {
  if (flags.json) io.out(`${JSON.stringify(model)}\n`);
  else {
    io.out(`${lineOf(model)}\n${model.path}\n`);
    if (model.note !== null) io.err(`${say(io, model.note)}\n`);
  }
  return OK;
}

function lineOf(model: ShownModel): string {
  const size = `${Math.ceil(model.bytes / MEBIBYTE)} MiB`;
  return [model.name, size, model.licence ?? '-', `sha256:${model.sha256}`, model.source].join('  ');
}

interface Progress {
  readonly at: (done: number, total: number) => void;
  readonly end: () => void;
}

// One line that is written over, on terminals only, once for each percent.
function progressLine(name: string, io: Io): Progress {
  let shown = -1;
  return {
    at(done, total) {
      const share = total === 0 ? 0 : Math.floor((done / total) * PERCENT);
      if (!io.terminal || share === shown) return;
      shown = share;
      io.err(`\r${name} ${share}% (${Math.ceil(total / MEBIBYTE)} MiB)`);
    },
    end() {
      if (shown !== -1) io.err('\n');
    },
  };
}
