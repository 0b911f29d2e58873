import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program running as a child of the test. */
export interface Running {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
  /** The first group of the pattern, once standard output matches it; rejects when the program ends or `ms` pass. */
  line(pattern: RegExp, ms: number): Promise<string>;
  /** Sends a signal and waits for the program's end; kills it and rejects when `ms` pass. */
  end(pid: number, signal: NodeJS.Signals, ms: number): Promise<Exit>;
}

/** Starts `command`, keeping what it prints. */
export function startProcess(
  command: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Running {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  const exited = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  // A test that fails in the middle leaves nothing running behind it.
  const killWithTest = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithTest);
  const forget = (): void => void process.off('exit', killWithTest);
  exited.then(forget, forget);
  const describe = (what: string): string =>
    `${what}\n--- standard output\n${out}\n--- standard error\n${err}`;
  return {
    pid: child.pid ?? 0,
    exited,
    stdout: () => out,
    stderr: () => err,
    line: (pattern, ms) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(out)?.[1];
          if (found !== undefined) settle(() => resolve(found));
        };
        let late = false;
        // Rejects once the program has ended: what it held is free again.
        const timer = setTimeout(() => (late = child.kill('SIGKILL')), ms);
        const settle = (then: () => void): void => {
          clearTimeout(timer);
          child.stdout.off('data', look);
          then();
        };
        child.stdout.on('data', look);
        const ended = (how: string): void =>
          settle(() =>
            reject(
              new Error(describe(late ? `not ready after ${ms} ms` : `ended before it was ready: ${how}`)),
            ),
          );
        exited.then(
          ({ code, signal }) => ended(`${code ?? signal ?? ''}`),
          (error: unknown) => ended(String(error)),
        );
        look();
      }),
    end: async (pid, signal, ms) => {
      if (child.exitCode === null && child.signalCode === null) process.kill(pid, signal);
      const late = Promise.withResolvers<Exit>();
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        late.reject(new Error(describe(`still running ${ms} ms after ${signal}`)));
      }, ms);
      return await Promise.race([exited, late.promise]).finally(() => clearTimeout(timer));
    },
  };
}

/**
 * The process `depth` first children below `pid`. Where the system does not list children, `pid` itself, which passes
 * its signals on.
 */
export function childPid(pid: number, depth: number): number {
  if (depth === 0) return pid;
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return child === undefined || child === '' ? pid : childPid(Number(child), depth - 1);
  } catch {
    return pid;
  }
}
