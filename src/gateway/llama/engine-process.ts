import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FromChild, ToChild } from './protocol.ts';

export interface EngineProcess {
  readonly pid: number | null;
  send(message: ToChild): void;
  kill(): void;
}

export interface EngineProcessEvents {
  onMessage(message: FromChild): void;
  /** Once, however the process ended or failed to start. */
  onExit(): void;
}

// No --allow-net: the engine cannot open a socket. It reads the model's file, loads the native library and, as that
// library's loader wants, tries it once in a process of its own.
export const ENGINE_PERMISSIONS = [
  '--permission',
  '--allow-fs-read=*',
  '--allow-addons',
  '--allow-child-process',
];

/** Starts an engine. It gets none of this process's environment, which holds secrets, and ends with the channel. */
export function startEngineProcess(events: EngineProcessEvents): EngineProcess {
  const here = fileURLToPath(import.meta.url);
  const script = fileURLToPath(new URL(`./engine-child${extname(here)}`, import.meta.url));
  const child = fork(script, [], {
    serialization: 'advanced',
    env: {},
    execArgv: [...ENGINE_PERMISSIONS, '--no-warnings'],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    events.onExit();
  };
  child.on('message', (message) => {
    // Only engine-child.ts holds the other end, and it sends what protocol.ts says.
    if (!over) events.onMessage(message as FromChild);
  });
  child.on('exit', end);
  child.on('error', end);
  return {
    pid: child.pid ?? null,
    send(message) {
      // A channel that has just closed is followed by the exit event, which ends the jobs.
      if (child.connected) child.send(message, () => {});
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
