import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { writeGovernance } from './governance.ts';
import type { GovernanceDrafts } from './governance.ts';
import { childPid, startProcess } from './process.ts';
import type { Exit } from './process.ts';
import { ROOT } from './source.ts';

export interface SiteOptions {
  /** The folder of an earlier site, whose data, home and configuration are used again. */
  readonly root?: string;
  /** Without drafts the site runs the built-in example. */
  readonly governance?: GovernanceDrafts;
  /** Members of `sekisho.yaml`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Secrets by name, written to files that the configuration names. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Added to an environment that holds PATH, HOME, LANG and SEKISHO_MODELS only. */
  readonly env?: Readonly<Record<string, string>>;
  /** The folder of models; one inside the site's root unless told. */
  readonly models?: string;
  readonly port?: number;
  /** A program and its arguments that start the site, such as a tracer. */
  readonly wrap?: readonly string[];
  /** A program and its arguments that become the site's own, such as nsenter. */
  readonly inside?: readonly string[];
  /** The program itself; the launcher of this repository unless told. */
  readonly program?: string;
  /** Milliseconds to wait for the ready line. */
  readonly readyMs?: number;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A site running as its own process on its own folder. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly adminKey: string;
  /** Holds everything below. */
  readonly root: string;
  /** DATA. */
  readonly data: string;
  /** The user's home, where the anchor is. */
  readonly home: string;
  /** The process that serves, below the launcher and any tracer. */
  readonly pid: number;
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
  /** One request with the admin key, unless `headers` carry another. */
  call(
    at: string,
    options?: { method?: string; body?: string; headers?: Record<string, string> },
  ): Promise<Reply>;
  /** Sends the signal to the process that serves and waits for its end; the folder stays. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
  /** Asks it to end as its user would, waits, and removes the folder unless told to keep it. */
  stop(options?: { readonly keep: boolean }): Promise<Exit>;
}

/** For tests of what a single attempt comes to: nothing is repeated, and no endpoint is left alone. */
export const ONE_ATTEMPT = { repeats: 0, breaker: { failures: 1_000_000 } };

const READY_MS = 60_000;
const STOP_MS = 20_000;

/** Starts the real program; rejects with everything it printed when it ends before it is ready. */
export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const root = options.root ?? mkdtempSync(path.join(os.tmpdir(), 'sekisho-site-'));
  const folders = { data: path.join(root, 'data'), home: path.join(root, 'home') };
  mkdirSync(folders.home, { recursive: true });
  const port = options.port ?? (await freePort());
  const config = writeConfig(root, options);
  const args = ['up', ...config, '--data', folders.data, '--port', String(port)];
  const launcher = options.program === undefined;
  const wrap = options.wrap ?? [];
  const command = [
    ...(options.inside ?? []),
    ...wrap,
    process.execPath,
    options.program ?? path.join(ROOT, 'bin', 'sekisho.cjs'),
    ...args,
  ];
  const running = startProcess(command, { cwd: root, env: environment(root, folders.home, options) });
  const url = await running
    .line(/^ready (http\S+)$/m, options.readyMs ?? READY_MS)
    .catch((error: unknown) => {
      if (options.root === undefined) rmSync(root, { recursive: true, force: true });
      throw error;
    });
  const pid = childPid(running.pid, (wrap.length > 0 ? 1 : 0) + (launcher ? 1 : 0));
  const adminKey =
    options.env?.['SEKISHO_ADMIN_KEY'] ?? readFileSync(path.join(folders.data, 'admin-key'), 'utf8').trim();
  const stop: Site['stop'] = async (how) => {
    const exit = await running.end(wrap.length > 0 ? pid : running.pid, 'SIGTERM', STOP_MS);
    if (how?.keep !== true) rmSync(root, { recursive: true, force: true });
    return exit;
  };
  return {
    url,
    port,
    adminKey,
    root,
    ...folders,
    pid,
    exited: running.exited,
    stdout: () => running.stdout(),
    stderr: () => running.stderr(),
    call: (at, how = {}) => call(new URL(at, url), adminKey, how),
    kill: (signal) => running.end(pid, signal, STOP_MS),
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** A port of 127.0.0.1 on which nothing listened a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has an AddressInfo; only pipes have a string.
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function writeConfig(root: string, options: SiteOptions): readonly string[] {
  const file = path.join(root, 'sekisho.yaml');
  if (options.governance !== undefined) writeGovernance(path.join(root, 'governance'), options.governance);
  if (options.governance === undefined && options.config === undefined) {
    return options.root !== undefined && isThere(file) ? ['--config', file] : [];
  }
  const secrets: Record<string, { file: string }> = {};
  for (const [name, value] of Object.entries(options.secrets ?? {})) {
    secrets[name] = { file: path.join(root, `secret-${name}`) };
    writeFileSync(path.join(root, `secret-${name}`), value, { mode: 0o600 });
  }
  const governance = options.governance === undefined ? {} : { governance: path.join(root, 'governance') };
  writeFileSync(file, stringify({ secrets, ...governance, ...options.config }));
  return ['--config', file];
}

function isThere(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

// Nothing of the environment of the tests reaches the site: proxies, certificates and keys least of all.
function environment(root: string, home: string, options: SiteOptions): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: home,
    LANG: 'C.UTF-8',
    SEKISHO_MODELS: options.models ?? path.join(root, 'models'),
    ...options.env,
  };
}

async function call(
  url: URL,
  key: string,
  options: { method?: string; body?: string; headers?: Record<string, string> },
): Promise<Reply> {
  const { body, headers } = options;
  const response = await fetch(url, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
