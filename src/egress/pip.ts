import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { syncFolder } from '../core/durable.ts';
import { Fault } from '../core/fault.ts';
import { interrupted, invalidNetwork, refusal, unreachable } from './refusal.ts';

/** One wheel to download; what arrives must have this digest. */
export interface PipRequest {
  readonly name: string;
  readonly version: string;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Where the wheel ends up. */
  readonly path: string;
  /** Of a simple index; null leaves the choice to the machine's pip configuration. */
  readonly indexUrl: string | null;
  /** Only PATH and HOME reach the child: no proxy, no index and no other setting of the environment does. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly posture: 'public' | 'private' | 'disconnected';
  readonly signal: AbortSignal;
  /** A line of what pip says. */
  onProgress(line: string): void;
}

/**
 * Runs `python3 -m pip download`: the one outbound traffic that is not this process's own, for sites whose only mirror
 * is a package index. Wheels only, since building a source package would run its code.
 * @throws Fault `egress.denied` (guards posture, digest), `egress.unreachable`, `egress.interrupted`,
 * `egress.invalid_network`.
 */
export async function pipDownload(request: PipRequest): Promise<void> {
  if (request.posture === 'disconnected') throw refusal('posture', 'a disconnected site fetches nothing');
  requirePlain(request);
  const directory = await mkdtemp(join(dirname(request.path), '.pip-'));
  try {
    await mkdir(join(directory, NOWHERE));
    await run(request, directory);
    const wheel = await onlyFile(directory);
    const digest = await sha256(wheel);
    if (digest !== request.sha256)
      throw refusal('digest', `expected sha256 ${request.sha256}, found ${digest}`);
    await rename(wheel, request.path);
    await syncFolder(dirname(request.path));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

// PEP 508 names and PEP 440 versions begin with no dash, so neither can be read as an option.
function requirePlain(request: PipRequest): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(request.name)) throw invalidNetwork('expected a package name');
  if (!/^[A-Za-z0-9][A-Za-z0-9.!+_-]*$/.test(request.version)) throw invalidNetwork('expected a version');
  if (request.indexUrl !== null && !/^https?:\/\//.test(request.indexUrl))
    throw invalidNetwork('expected the URL of a package index');
}

/** `python3 -m` runs modules that lie where it starts, so it starts in an empty folder. */
const NOWHERE = 'nowhere';

function run(request: PipRequest, directory: string): Promise<void> {
  const index = request.indexUrl === null ? [] : ['--index-url', request.indexUrl];
  const options = ['--no-deps', '--only-binary', ':all:', '--no-input', '--progress-bar', 'off', ...index];
  const wanted = `${request.name}==${request.version}`;
  const child = spawn('python3', ['-m', 'pip', 'download', ...options, '-d', directory, wanted], {
    cwd: join(directory, NOWHERE),
    env: childEnvironment(request.environment, directory),
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: request.signal,
  });
  createInterface(child.stdout).on('line', (line) => request.onProgress(line));
  let last = '';
  createInterface(child.stderr).on('line', (line) => {
    last = line.slice(0, 200);
  });
  return new Promise((resolve, reject) => {
    child.on('error', (cause) =>
      reject(request.signal.aborted ? interrupted('the download was given up', cause) : noPip(cause)),
    );
    child.on('close', (code) => (code === 0 ? resolve() : reject(unreachable(`pip download: ${last}`))));
  });
}

function noPip(cause: Error): Fault {
  return new Fault('unavailable', 'egress.unreachable', 'python3 cannot be run', { cause });
}

function childEnvironment(from: PipRequest['environment'], directory: string): Record<string, string> {
  return {
    PATH: from['PATH'] ?? '/usr/bin:/bin',
    HOME: from['HOME'] ?? directory,
    TMPDIR: directory,
    // Since Python 3.11: no module from the folder it starts in, at all.
    PYTHONSAFEPATH: '1',
    LC_ALL: 'C.UTF-8',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_CACHE_DIR: '1',
  };
}

async function onlyFile(directory: string): Promise<string> {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.whl'));
  const [file] = files;
  if (file === undefined || files.length !== 1)
    throw unreachable(`expected one wheel, found ${files.length}`);
  return join(directory, file);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
