import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './source.ts';

const VERSION = '0.5.0';
const FOLDER = path.join(ROOT, '.cache', 'scanners');

/** The wire formats whose probes are run. */
export type ComplyFormat = 'openai-chat' | 'open-responses' | 'anthropic';

/** Installs the scanner llm-comply for Python below `.cache`, unless it is there. */
export async function installLlmComply(): Promise<void> {
  if (existsSync(path.join(FOLDER, `llm-comply-${VERSION}`))) return;
  await run('python3', ['-m', 'venv', '--clear', FOLDER], 0);
  const install = `-m pip install --quiet llm-comply==${VERSION}`.split(' ');
  await run(path.join(FOLDER, 'bin', 'python'), install, 0);
  await run('touch', [path.join(FOLDER, `llm-comply-${VERSION}`)], 0);
}

/** Runs llm-comply as its users do: the ids of its probes, each with `passed`, `failed` or `skipped`. */
export async function scanWithComply(
  format: ComplyFormat,
  target: { readonly url: string; readonly model: string; readonly key: string },
): Promise<Readonly<Record<string, string>>> {
  const where = ['-u', `${target.url}/v1`, '-k', target.key, '-m', target.model];
  const program = path.join(FOLDER, 'bin', 'llm-comply');
  const printed = await run(program, [...where, '--format', format, '--json'], null);
  const { results } = Object(JSON.parse(printed));
  assert.ok(Array.isArray(results) && results.length > 0, printed);
  return Object.fromEntries(results.map(({ id, status }) => [id, status]));
}

// Null takes any exit: a scanner's own tells only that something failed, and its report tells what.
function run(program: string, args: readonly string[], exit: 0 | null): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], LANG: 'C.UTF-8' };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (piece: Buffer) => (printed += piece.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (exit === null || code === exit) resolve(printed);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}`));
    });
  });
}
