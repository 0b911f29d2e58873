import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Job, Measured } from './load.ts';
import { pinTo } from './machine.ts';

/** The provider's process. */
export interface Mock extends Disposable {
  readonly url: string;
}

/** The clients' process; one job at a time. */
export interface Load extends Disposable {
  run(job: Job): Promise<Measured>;
}

export async function startMock(): Promise<Mock> {
  const child = start(fileURLToPath(new URL('./mock.ts', import.meta.url)));
  const port = await answerOf(child);
  return { url: `http://127.0.0.1:${String(port)}`, [Symbol.dispose]: () => void child.kill() };
}

export function startLoad(): Load {
  const child = start(fileURLToPath(new URL('./load.ts', import.meta.url)));
  return {
    async run(job) {
      const answer = answerOf(child);
      child.send(job);
      const message = await answer;
      if (isFailure(message)) throw new Error(`${job.kind}: ${message.error}`);
      // load.ts sends nothing but failures and measurements.
      return message as Measured;
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}

function start(script: string): ChildProcess {
  const [program, ...args] = [...pinTo('load'), process.execPath, script];
  return spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process of the bench ended: ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message);
    });
  });
}

function isFailure(message: unknown): message is { readonly error: string } {
  return typeof message === 'object' && message !== null && 'error' in message;
}
