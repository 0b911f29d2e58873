import { spawn } from 'node:child_process';
import path from 'node:path';
import { ROOT } from './source.ts';

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Also the user's home. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** On a terminal, whose text is `out`: what it would show of both streams. */
  readonly terminal?: boolean;
  /** A program and its arguments that become the command, such as nsenter. */
  readonly inside?: readonly string[];
}

// Python's own module for terminals: Node has none.
const ON_TERMINAL = ['python3', '-c', 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)'];

/** Runs a command of the command line; nothing of the environment of the tests reaches it but PATH. */
export async function runCli(args: readonly string[], options: RunOptions): Promise<Ran> {
  const [program = '', ...rest] = [
    ...(options.inside ?? []),
    ...(options.terminal === true ? ON_TERMINAL : []),
    process.execPath,
    path.join(ROOT, 'src', 'cli', 'main.ts'),
    ...args,
  ];
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'], HOME: options.cwd, LANG: 'en_US.UTF-8', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out, err };
}
