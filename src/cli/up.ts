import { parseArgs } from 'node:util';
import { watchConfig } from '../core/config-watch.ts';
import { SECOND } from '../core/duration.ts';
import { Fault, toFault } from '../core/fault.ts';
import { atLevel, jsonLog, type Log } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import { serve, type Serving } from '../server/serve.ts';
import { openSite, type Site } from '../server/site.ts';
import { defaultAnchorDir, modelsDir, resolveConfig, type Start } from '../server/start.ts';
import { firstRun } from './first-run.ts';
import { OK, say, type Io } from './io.ts';

export const UP_HELP = {
  ja: `使い方: sekisho up [--config ファイル] [--data 場所] [--host ホスト] [--port 番号]
サイトを動かす。既定: ./sekisho.yaml (なければ組み込みの例)、./data、127.0.0.1、8420。
`,
  en: `usage: sekisho up [--config F] [--data DIR] [--host H] [--port N]
Runs a site. Defaults: ./sekisho.yaml (else the built-in example), ./data, 127.0.0.1, 8420.
`,
};

/** docs/interface.md: SIGTERM drains and exits within 10 s; the rest is for outcomes and for closing what is open. */
const DRAIN = 6 * SECOND;
/** One key press reaches a foreground process twice: from the terminal, and through the launcher. */
const SAME_PRESS = SECOND;

/** `sekisho up`: runs until SIGTERM or SIGINT. */
export async function upCommand(args: readonly string[], io: Io): Promise<number> {
  const stop = stopSignal();
  const start = readStart(args, io);
  refuseDangers(io);
  const world = systemWorld();
  const log = siteLog(jsonLog(world.clock, io.err), io);
  const { config, dataDir } = start;
  await using site = await openSite({
    config,
    dataDir,
    anchorDir: config.ledger.anchor ?? defaultAnchorDir(io.env),
    modelsDir: modelsDir(io.env, dataDir),
    env: io.env,
    world,
    log,
  });
  if (stop.aborted) return OK;
  await using serving = await serve(site);
  using _watch = watch(site, serving, { start, io, log });
  greet(site, serving, io);
  if (io.terminal)
    void firstRun(site, serving.url, { ...io, signal: stop }).catch((thrown: unknown) => shown(io, thrown));
  await once(stop);
  await serving.drain(DRAIN);
  return OK;
}

// A person at a terminal sees what needs a person; a collector of logs gets every line.
function siteLog(log: Log, io: Io): Log {
  return atLevel(log, io.env.log ?? (io.terminal ? 'warn' : 'info'));
}

function readStart(args: readonly string[], io: Io): Start {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Fault('invalid', 'core.config', '--port: expected a number from 0 to 65535');
  }
  return resolveConfig(io.env, { ...values, port });
}

// Variables that move traffic or trust have no effect on our sockets; a start with code injected is refused.
function refuseDangers(io: Io): void {
  const injected = io.env.dangers.filter(({ effect }) => effect === 'code');
  if (injected.length > 0) {
    throw new Fault(
      'invalid',
      'core.environment',
      'NODE_OPTIONS loads other code into the process; unset it',
    );
  }
  for (const { name, effect } of io.env.dangers) {
    const text = {
      ja: `注意: 環境変数 ${name} (${effect}) は Sekisho の通信には効かない\n`,
      en: `note: the variable ${name} (${effect}) has no effect on Sekisho's connections\n`,
    };
    io.err(say(io, text));
  }
}

function greet(site: Site, serving: Serving, io: Io): void {
  io.out(`ready ${serving.url}\n`);
  const { adminKeyPath } = site.identity;
  if (adminKeyPath !== null) io.err(`${say(io, { ja: '管理者の鍵', en: 'admin key' })}: ${adminKeyPath}\n`);
  if (site.recovered > 0) site.log.warn('ledger.unknown_outcomes', { count: site.recovered });
}

function watch(
  site: Site,
  serving: Serving,
  { start, io, log }: { start: Start; io: Io; log: Log },
): Disposable {
  const { path: file } = site.config;
  if (file === null) return { [Symbol.dispose]: () => {} };
  return watchConfig({
    file,
    env: start.env,
    clock: site.world.clock,
    current: site.config,
    onChange(config) {
      try {
        const waiting = serving.reload(config);
        log.info('config.reloaded');
        if (waiting.length > 0) tellWaiting(waiting, { io, log });
      } catch (thrown) {
        log.error('config.refused', { code: toFault(thrown).code });
        shown(io, thrown);
      }
    },
    onError(fault) {
      log.error('config.refused', { code: fault.code });
      shown(io, fault);
    },
  });
}

function tellWaiting(settings: readonly string[], { io, log }: { io: Io; log: Log }): void {
  const names = settings.join(', ');
  log.warn('config.needs_restart', { settings: names });
  const text = {
    ja: `注意: 次の設定の変更は再起動の後に効く: ${names}\n`,
    en: `note: changes to these settings take effect after a restart: ${names}\n`,
  };
  io.err(say(io, text));
}

// The first signal ends the site in order. A later one ends the process as the system does, also one that is still
// starting or hangs.
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const signals = ['SIGTERM', 'SIGINT'] as const;
  const first = (): void => {
    if (stop.signal.aborted) return;
    stop.abort();
    const release = (): void => {
      for (const signal of signals) process.off(signal, first);
    };
    setTimeout(release, SAME_PRESS).unref();
  };
  for (const signal of signals) process.on(signal, first);
  return stop.signal;
}

async function once(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}

function shown(io: Io, thrown: unknown): void {
  io.err(`sekisho: ${toFault(thrown).message}\n`);
}
