import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../source.ts';
import type { Client } from './client.ts';
import { readWire } from './wire.ts';
import type { WireResult } from './wire.ts';

/** The openai client for Python, in a process of its own that answers line by line. */
export function pythonClient(): Client {
  const python = path.join(ROOT, '.cache', 'venv', 'bin', 'python');
  const child = spawn(python, [path.join(ROOT, 'test', 'python', 'client.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    name: 'openai for Python',
    wire: true,
    async ask(asked) {
      child.stdin.write(`${JSON.stringify(asked)}\n`);
      const line = await lines.next();
      assert.ok(line.done !== true, 'the Python client ended');
      return readWire(JSON.parse(line.value) as WireResult);
    },
    [Symbol.dispose]() {
      process.off('exit', kill);
      kill();
    },
  };
}
