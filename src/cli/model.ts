import { parseArgs } from 'node:util';
import { Fault, toFault } from '../core/fault.ts';
import { silentLog } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import { CATALOGUE } from '../gateway/model/catalogue.ts';
import { importModel } from '../gateway/model/import.ts';
import { pullModel, type PullOptions } from '../gateway/model/pull.ts';
import { ModelStore, type StoredModel } from '../gateway/model/store.ts';
import { pullPorts } from '../server/model-source.ts';
import { openSite } from '../server/site.ts';
import { defaultAnchorDir, modelsDir, resolveConfig } from '../server/start.ts';
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

/** What a model's bytes pass through: the store, the network, the log. */
export type ModelPorts = Omit<PullOptions, 'signal' | 'onProgress'> & AsyncDisposable;

interface Flags {
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly name: string | undefined;
  readonly licence: string | undefined;
  readonly json: boolean;
}

const MEBIBYTE = 1024 * 1024;
const PERCENT = 100;

/** `sekisho model pull|list|import`. `open` is how the ports are come by; a test brings its own. */
export async function modelCommand(
  args: readonly string[],
  io: Io,
  open: (flags: Flags, io: Io) => Promise<ModelPorts> = openSitePorts,
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
    await using ports = await open(flags, io);
    return show(await pull(subject, ports, io), flags, io);
  }
  if (act === 'import' && subject !== undefined && rest.length === 0 && name !== undefined) {
    await using ports = await open(flags, io);
    return show(await importModel(subject, { ...ports, name, licence: licence ?? null }), flags, io);
  }
  io.err(say(io, MODEL_HELP));
  return USAGE;
}

async function list(flags: Flags, io: Io): Promise<number> {
  const models = await new ModelStore(modelsDir(io.env, resolveConfig(io.env, flags).dataDir)).list();
  if (flags.json) io.out(`${JSON.stringify(models)}\n`);
  else for (const model of models) io.out(`${lineOf(model)}\n`);
  return OK;
}

async function pull(name: string, ports: ModelPorts, io: Io): Promise<StoredModel> {
  const progress = progressLine(name, io);
  try {
    return await pullModel(name, { ...ports, signal: io.signal, onProgress: progress.at });
  } finally {
    progress.end();
  }
}

function show(model: StoredModel, flags: Flags, io: Io): number {
  const note = CATALOGUE.find(({ sha256 }) => sha256 === model.sha256)?.note;
  if (flags.json) io.out(`${JSON.stringify({ ...model, ...(note === undefined ? {} : { note }) })}\n`);
  else {
    io.out(`${lineOf(model)}\n${model.path}\n`);
    if (note !== undefined) io.err(`${say(io, note)}\n`);
  }
  return OK;
}

function lineOf(model: StoredModel): string {
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

const RUNNING: Text = {
  ja: 'このデータではサイトが動いており、台帳を持っている。止めてから行うこと (動いているサイトは要るモデルを自分で取り寄せる)',
  en: 'a site runs on this data and holds its log; stop it first (a running site fetches the models it needs itself)',
};

async function openSitePorts(flags: Flags, io: Io): Promise<ModelPorts> {
  const { config, dataDir } = resolveConfig(io.env, flags);
  const world = systemWorld();
  const dir = modelsDir(io.env, dataDir);
  const anchorDir = config.ledger.anchor ?? defaultAnchorDir(io.env);
  const { env } = io;
  try {
    const site = await openSite({ config, dataDir, anchorDir, modelsDir: dir, env, world, log: silentLog });
    const { egress, ledger, policy } = site;
    const { posture } = policy.bundle.site;
    const ports = pullPorts({ egress, ledger, world, env, posture, modelsDir: dir });
    return { ...ports, [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]() };
  } catch (thrown) {
    const fault = toFault(thrown);
    if (fault.code !== 'ledger.in_use') throw fault;
    throw new Fault('conflict', 'cli.site_running', say(io, RUNNING), { cause: fault });
  }
}
