import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What CompatCanary found: each of its probes with `pass`, `warn` or `fail`. */
export interface CanaryReport {
  readonly exit: number | null;
  readonly probes: Readonly<Record<string, string>>;
}

/** Runs the scanner CompatCanary as its users do, over the probes of a profile. */
export async function scanWithCanary(
  profile: 'chat' | 'modern',
  target: { readonly url: string; readonly model: string; readonly key: string },
): Promise<CanaryReport> {
  const program = fileURLToPath(new URL('cli.js', import.meta.resolve('compatcanary')));
  const where = ['--base-url', `${target.url}/v1`, '--model', target.model];
  const child = spawn(
    process.execPath,
    [program, 'scan', ...where, '--profile', profile, '--format', 'json'],
    { env: { PATH: process.env['PATH'], OPENAI_API_KEY: target.key }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let printed = '';
  child.stdout.on('data', (piece: Buffer) => (printed += piece.toString()));
  const exit = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const { results } = Object(JSON.parse(printed));
  assert.ok(Array.isArray(results) && results.length > 0, printed);
  return { exit, probes: Object.fromEntries(results.map(({ id, status }) => [id, status])) };
}
