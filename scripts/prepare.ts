import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { findExecutable, machineFacts } from './machine.ts';
import type { MachineFacts } from './machine.ts';

/** The Python client that the suite drives against the site. */
const PYTHON_CLIENT = { name: 'openai', version: '3.54.0' };

interface Need {
  readonly what: string;
  readonly why: string;
  /** Debian's package. */
  readonly debian: string;
  present(facts: MachineFacts): boolean;
}

const NEEDS: readonly Need[] = [
  {
    what: 'chromium',
    why: 'runs the verifier in a browser',
    debian: 'chromium',
    present: (facts) => facts.programs.has('chromium'),
  },
  {
    what: 'strace',
    why: 'shows that the sync returned before the first byte left',
    debian: 'strace',
    present: (facts) => facts.programs.has('strace'),
  },
  {
    what: 'ip',
    why: 'makes the sealed room, a network without a way out',
    debian: 'iproute2',
    present: (facts) => facts.programs.has('ip'),
  },
  {
    what: 'nft',
    why: 'counts what tries to leave the sealed room',
    debian: 'nftables',
    present: (facts) => facts.programs.has('nft'),
  },
  {
    what: 'go',
    why: 'verifies our log with a program of another author',
    debian: 'golang-go',
    present: (facts) => facts.programs.has('go'),
  },
  {
    what: 'python3 with venv',
    why: 'runs the openai client for Python',
    debian: 'python3-venv',
    present: (facts) => facts.pythonVenv,
  },
];

export type Preparation =
  | { readonly kind: 'ready' }
  | { readonly kind: 'install'; readonly list: readonly string[]; readonly packages: readonly string[] }
  | { readonly kind: 'ask'; readonly list: readonly string[]; readonly advice: string };

/** What must be installed before the suite can run, and whether that may be done here. */
export function planPreparation(facts: MachineFacts): Preparation {
  const missing = NEEDS.filter((need) => !need.present(facts));
  if (missing.length === 0) return { kind: 'ready' };
  const list = missing.map((need) => `${need.what}: ${need.why}`);
  const packages = missing.map((need) => need.debian);
  if (facts.debian && facts.root) return { kind: 'install', list, packages };
  const advice = facts.debian
    ? `install them as root: apt-get install -y ${packages.join(' ')}`
    : `install them with this system's packages (Debian calls them ${packages.join(', ')})`;
  return { kind: 'ask', list, advice };
}

/**
 * Installs what the suite needs, after printing the list. True when everything is there afterwards; what cannot be
 * installed is named, with the command that would.
 */
export async function prepare(root: string, print: (line: string) => void): Promise<boolean> {
  const plan = planPreparation(machineFacts());
  if (plan.kind !== 'ready') print(`the tests need:\n${plan.list.map((line) => `  ${line}`).join('\n')}`);
  if (plan.kind === 'ask') {
    print(plan.advice);
    return false;
  }
  if (plan.kind === 'install') {
    print(`installing Debian's ${plan.packages.join(', ')}`);
    if (!(await installDebian(plan.packages, root))) return false;
  }
  return (await preparePython(root, print)) && (await prepareGo(root, print));
}

async function installDebian(packages: readonly string[], root: string): Promise<boolean> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  return (
    (await run('apt-get', ['-qq', 'update'], { cwd: root, env })) &&
    (await run('apt-get', ['-qq', ...install], { cwd: root, env }))
  );
}

async function preparePython(root: string, print: (line: string) => void): Promise<boolean> {
  const folder = path.join(root, '.cache', 'venv');
  const python = path.join(folder, 'bin', 'python');
  const { name, version } = PYTHON_CLIENT;
  const check = `import importlib.metadata as m, sys; sys.exit(m.version('${name}') != '${version}')`;
  if (existsSync(python) && (await run(python, ['-c', check], { cwd: root, quiet: true }))) return true;
  print(`installing ${name} ${version} for Python in .cache/venv`);
  const python3 = findExecutable('python3') ?? 'python3';
  return (
    (await run(python3, ['-m', 'venv', '--clear', folder], { cwd: root })) &&
    (await run(python, ['-m', 'pip', 'install', '--quiet', `${name}==${version}`], { cwd: root }))
  );
}

async function prepareGo(root: string, print: (line: string) => void): Promise<boolean> {
  const cwd = path.join(root, 'test', 'go-verifier');
  if (!existsSync(path.join(cwd, 'go.mod'))) return true;
  // The toolchain that is here must do: another one is never fetched on the way.
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' };
  if (await run('go', ['mod', 'download'], { cwd, env })) return true;
  print('the Go modules of test/go-verifier could not be fetched');
  return false;
}

interface RunOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly quiet?: boolean;
}

function run(program: string, args: readonly string[], options: RunOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'ignore', options.quiet === true ? 'ignore' : 'inherit'],
    });
    child.on('error', (error) => {
      process.stderr.write(`${program}: ${error.message}\n`);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
}
