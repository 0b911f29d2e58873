import { spawn } from 'node:child_process';

/** A program that the suite started; it ends with the suite. */
export interface Program {
  output(): string;
  /** The first group of the pattern in its output; null when it ended before. */
  line(pattern: RegExp, ms: number): Promise<string | null>;
  /** Resolves with the exit code when it has ended. */
  readonly ended: Promise<number | null>;
  /** Asks it to end and waits. */
  stop(): Promise<void>;
}

const STOP_MS = 20_000;

/** Starts this Node with `args` and no other environment than `env`. */
export function startProgram(
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Program {
  // The channel closes when the suite dies, and with it the site, as under the launcher.
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let text = '';
  const heard = (piece: Buffer): void => void (text += piece.toString('utf8'));
  child.stdout?.on('data', heard);
  child.stderr?.on('data', heard);
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('close', (code) => resolve(code));
  });
  return {
    output: () => text,
    ended,
    line: (pattern, ms) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = pattern.exec(text)?.[1];
          if (found !== undefined) settle(found);
        };
        const settle = (found: string | null): void => {
          clearTimeout(late);
          child.stdout?.off('data', look);
          resolve(found);
        };
        const late = setTimeout(() => settle(null), ms);
        child.stdout?.on('data', look);
        void ended.then(() => settle(null));
        look();
      }),
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await ended;
      clearTimeout(late);
    },
  };
}
