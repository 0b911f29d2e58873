import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../source.ts';
import { baseOf } from './client.ts';
import type { Client } from './client.ts';
import { readWire } from './wire.ts';
import type { WireResult } from './wire.ts';

/** The openai clients for Python, plain and Azure, in one process of their own that answers line by line. */
export function pythonClients(): readonly [Client, Client] {
  const python = path.join(ROOT, '.cache', 'venv', 'bin', 'python');
  const child = spawn(python, [path.join(ROOT, 'test', 'python', 'client.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const client = (surface: Client['surface']): Client => ({
    name: surface === 'azure' ? 'openai for Python, Azure' : 'openai for Python',
    surface,
    wire: true,
    async ask(asked) {
      child.stdin.write(`${JSON.stringify({ ...asked, surface, base: baseOf(asked, surface) })}\n`);
      const line = await lines.next();
      assert.ok(line.done !== true, 'the Python client ended');
      return readWire(JSON.parse(line.value) as WireResult);
    },
    [Symbol.dispose]() {
      process.off('exit', kill);
      kill();
    },
  });
  return [client('openai'), client('azure')];
}
