import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startProcess, type Running } from '../test/support/process.ts';
import { freePort } from '../test/support/site.ts';
import { ROOT } from '../test/support/source.ts';
import { pinTo } from './machine.ts';

/** A gateway that is running, and how clients ask it. */
export interface Gateway {
  readonly name: string;
  readonly pid: number;
  readonly origin: string;
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A peer that could be installed and started, or why not. */
export type Peer =
  | { readonly name: string; readonly gateway: Gateway; stop(): Promise<unknown> }
  | { readonly name: string; readonly absent: string };

interface Kind {
  readonly name: string;
  /** Puts it below the folder; whatever it throws is why it is absent. */
  install(folder: string): Promise<void>;
  /** Its command, environment and what its clients send, for a port and the provider's URL. */
  start(folder: string, port: number, provider: string): Launch;
}

interface Launch {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const CACHE = path.join(ROOT, '.bench');
const HERE = path.join(ROOT, 'bench', 'peers');
const READY_MS = 60_000;
const POLL_MS = 200;
const STOP_MS = 20_000;
const INSTALL_MS = 600_000;
const MEGABYTE = 1_000_000;

/** @note Headers and start: https://portkey.ai/docs/product/open-source and the README of https://github.com/Portkey-AI/gateway. */
const PORTKEY: Kind = {
  name: 'Portkey 1.15.2',
  async install(folder) {
    copyFileSync(path.join(HERE, 'portkey', 'package.json'), path.join(folder, 'package.json'));
    if (existsSync(path.join(folder, 'node_modules', '@portkey-ai', 'gateway'))) return;
    await run('npm', ['install', '--ignore-scripts'], folder);
  },
  start: (folder, port, provider) => ({
    command: [
      process.execPath,
      '--require',
      path.join(HERE, 'portkey', 'loopback.cjs'),
      path.join(folder, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js'),
      `--port=${port}`,
      '--headless',
    ],
    env: { NODE_ENV: 'production' },
    key: 'none',
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${provider}/v1` },
  }),
};

/** @note Settings and their sources stand in `peers/litellm/config.yaml`. */
const LITELLM: Kind = {
  name: 'LiteLLM 1.106.12',
  async install(folder) {
    if (existsSync(path.join(folder, 'bin', 'litellm'))) return;
    await run('python3', ['-m', 'venv', '.'], folder);
    const wanted = path.join(HERE, 'litellm', 'requirements.txt');
    await run(path.join(folder, 'bin', 'pip'), ['install', '--quiet', '--requirement', wanted], folder);
  },
  start(folder, port, provider) {
    const key = `sk-${randomBytes(24).toString('hex')}`;
    return {
      command: [
        path.join(folder, 'bin', 'litellm'),
        `--config=${path.join(HERE, 'litellm', 'config.yaml')}`,
        '--host=127.0.0.1',
        `--port=${port}`,
        '--num_workers=1',
      ],
      env: {
        BENCH_PROVIDER: `${provider}/v1`,
        LITELLM_MASTER_KEY: key,
        LITELLM_MODE: 'PRODUCTION',
        LITELLM_LOG: 'ERROR',
        LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      },
      key,
    };
  },
};

const BIFROST = 'Bifrost 2.4.0';
const BIFROST_MODULE = 'github.com/maximhq/bifrost/transports@v2.4.0';

/** Installs and starts every peer of the comparison that can be had here. */
export async function startPeers(
  provider: string,
  wanted: (name: string) => boolean,
): Promise<readonly Peer[]> {
  const peers: Peer[] = [];
  for (const kind of [PORTKEY, LITELLM]) if (wanted(kind.name)) peers.push(await startPeer(kind, provider));
  if (wanted(BIFROST)) peers.push({ name: BIFROST, absent: await whyNoBifrost() });
  return peers;
}

async function startPeer(kind: Kind, provider: string): Promise<Peer> {
  const folder = path.join(CACHE, kind.name.replace(' ', '-').toLowerCase());
  mkdirSync(folder, { recursive: true });
  try {
    await kind.install(folder);
    const port = await freePort();
    const { command, env, key, headers } = kind.start(folder, port, provider);
    const running = startProcess([...pinTo('site'), ...command], {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder, ...env },
    });
    const origin = `http://127.0.0.1:${port}`;
    const gateway = { name: kind.name, pid: running.pid, origin, key, ...(headers && { headers }) };
    await answers(gateway, running);
    return { name: kind.name, gateway, stop: () => running.end(running.pid, 'SIGTERM', STOP_MS) };
  } catch (error) {
    return { name: kind.name, absent: withoutHosts(error) };
  }
}

async function answers({ origin, key, headers }: Gateway, running: Running): Promise<void> {
  const body = JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'ready?' }] });
  const deadline = performance.now() + READY_MS;
  let last = '';
  while (performance.now() < deadline) {
    const reply = await fetch(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      body,
    }).catch((error: unknown) => String(error));
    if (typeof reply !== 'string' && reply.ok) return void (await reply.text());
    last = typeof reply === 'string' ? reply : `${reply.status} ${await reply.text()}`;
    await wait(POLL_MS);
  }
  await running.end(running.pid, 'SIGKILL', STOP_MS);
  throw new Error(`did not answer within ${READY_MS} ms: ${last}`);
}

// Its package on npm only downloads a binary from elsewhere, so the module is the one way to it.
async function whyNoBifrost(): Promise<string> {
  if (spawnSync('go', ['version']).status !== 0) return 'there is no Go here to build it with';
  const folder = path.join(CACHE, 'bifrost');
  mkdirSync(folder, { recursive: true });
  try {
    await run('go', ['mod', 'download', '-json', BIFROST_MODULE], folder);
    return 'its module can be had here, but this bench does not build it';
  } catch (error) {
    return `\`go mod download ${BIFROST_MODULE}\` is refused: ${withoutHosts(error)}`;
  }
}

async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  await promisify(execFile)(program, args, { cwd, timeout: INSTALL_MS, maxBuffer: MEGABYTE });
}

/** The end of what a program said, in one line and without addresses. */
function withoutHosts(error: unknown): string {
  const said = typeof error === 'object' && error !== null && 'stdout' in error ? String(error.stdout) : '';
  const text = /"Error": "(.*)"/.exec(said)?.[1] ?? String(error);
  return text
    .replaceAll('\\n', ' ')
    .replaceAll('\\t', ' ')
    .replaceAll(/https?:\/\/\S+/g, 'the proxy')
    .replaceAll(/\s+/g, ' ')
    .slice(-200);
}
