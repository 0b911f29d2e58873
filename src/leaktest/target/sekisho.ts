import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Fault } from '../../core/fault.ts';
import type { Gateway, Scene, SceneProvider, Target } from '../types.ts';
import { ask, type Reply } from '../world/client.ts';
import { startProgram } from '../world/program.ts';

export interface SekishoOptions {
  /** The command line's main module. */
  readonly program: string;
  readonly searchPath: string;
}

const READY_MS = 60_000;

/** Sekisho itself: a site in a process and a folder of its own for each scene. */
export function sekishoTarget(options: SekishoOptions): Target {
  return { name: 'sekisho', configurable: true, open: (scene) => openSite(scene, options) };
}

async function openSite(scene: Scene, options: SekishoOptions): Promise<Gateway> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sekisho-leak-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const env = {
    PATH: options.searchPath,
    HOME: folder,
    LANG: 'C.UTF-8',
    // A library may be silent in tests only.
    NODE_ENV: 'production',
    SEKISHO_MODELS: path.join(folder, 'models'),
  };
  const config = await writeSite(scene, folder);
  const data = path.join(folder, 'data');
  const up = [options.program, 'up', '--config', config, '--data', data, '--port', '0'];
  const program = startProgram(up, { cwd: folder, env: { ...env, ...scene.env } });
  const url = await program.line(/^ready (http\S+)$/m, READY_MS);
  if (url === null) {
    await program.stop();
    await remove();
    throw new Fault('invalid', 'leaktest.refused_start', program.output().trim());
  }
  const key = (await readFile(path.join(data, 'admin-key'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${key}` };
  const run = (args: readonly string[]): Promise<Reply> =>
    command([options.program, ...args], folder, { ...env, SEKISHO_URL: url, SEKISHO_KEY: key });
  return {
    url,
    headers,
    reasons: true,
    folder: data,
    output: () => program.output(),
    metrics: async () => (await ask(url, { method: 'GET', path: '/metrics', headers })).text,
    apply: (next, by) => apply(next, by, { folder, data, run }),
    async [Symbol.asyncDispose]() {
      await program.stop();
      await remove();
    },
  };
}

interface Desk {
  readonly folder: string;
  readonly data: string;
  run(args: readonly string[]): Promise<Reply>;
}

/** The way of docs/governance.md: draft, build, sign, apply. */
async function apply(scene: Scene, by: 'signer' | 'stranger', desk: Desk): Promise<Reply> {
  const governance = path.join(desk.folder, 'next');
  await writeGovernance(scene, governance);
  const bundle = path.join(desk.folder, 'next.bundle');
  const stranger = path.join(desk.folder, 'stranger.key');
  const signer = by === 'stranger' ? stranger : path.join(desk.data, 'keys', 'policy-signer.key');
  const steps = [
    ...(by === 'stranger' ? [['signer', 'new', '--out', stranger, '--name', 'stranger']] : []),
    ['policy', 'build', '--governance', governance, '--out', bundle],
    ['policy', 'sign', bundle, '--signer', signer],
    ['policy', 'apply', bundle],
  ];
  let last: Reply = { status: 0, headers: {}, text: '' };
  for (const step of steps) {
    last = await desk.run(step);
    if (last.status !== 200) return last;
  }
  return last;
}

// Status 200 stands for exit code 0.
async function command(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<Reply> {
  const program = startProgram(args, { cwd, env });
  const code = await program.ended;
  return { status: code === 0 ? 200 : 403, headers: {}, text: program.output() };
}

async function writeSite(scene: Scene, folder: string): Promise<string> {
  const governance = path.join(folder, 'governance');
  await writeGovernance(scene, governance);
  const anchor = path.join(folder, 'anchor');
  await mkdir(anchor);
  const ca = path.join(folder, 'ca.pem');
  await writeFile(ca, scene.ca);
  const config = path.join(folder, 'sekisho.yaml');
  const settings = {
    governance,
    ledger: { anchor },
    egress: { resolvers: [scene.resolver], ca },
    // Each try stands alone: what an earlier one did to a provider counts for nothing.
    routing: { repeats: 0, breaker: { failures: 1_000_000 } },
  };
  await writeFile(config, JSON.stringify(settings));
  return config;
}

async function writeGovernance(scene: Scene, folder: string): Promise<void> {
  const write = async (name: string, value: unknown): Promise<void> =>
    writeFile(path.join(folder, name), JSON.stringify(value));
  await mkdir(path.join(folder, 'providers'), { recursive: true });
  const { posture = 'private' } = scene;
  const site = { name: 'localhost/leak-test', jurisdiction: 'JP', posture, label: 'c2', packs: ['default'] };
  await write('site.yaml', site);
  for (const provider of scene.providers)
    await write(path.join('providers', `${provider.id}.yaml`), draft(provider));
  const from = (id: string): object => ({ endpoint: `${id}/m` });
  const models = Object.entries(scene.models).map(([name, ids]) => [name, { from: ids.map(from) }] as const);
  await write('models.yaml', Object.fromEntries(models));
}

function draft({ id, url, country, record = {}, hosts, addresses, pins }: SceneProvider): object {
  return {
    id,
    kind: 'openai',
    ...(url === null ? {} : { url }),
    models: { m: { accepts: 'c3' } },
    residency: {
      operator: `${id} operator`,
      operatorNationality: country,
      inference: country,
      storage: country,
      logs: country,
      support: country,
      keyCustody: country,
      retentionDays: 0,
      sku: 'standard',
      training: false,
      abuseReview: false,
      posture: 'public',
      issued: '2026-01-01',
      expires: '2099-01-01',
      ...record,
    },
    network: { hosts, addresses, ...(pins === undefined ? {} : { pins }) },
  };
}
