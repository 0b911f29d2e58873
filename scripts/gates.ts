import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

/** One static check of the sources: a program of node_modules and its arguments. */
export interface Gate {
  readonly name: string;
  /** Below node_modules. */
  readonly program: string;
  readonly args: readonly string[];
  /** What the program must print when it passes: a gate that looked at nothing has not passed. */
  readonly evidence: RegExp | null;
}

export interface GateResult {
  readonly name: string;
  readonly passed: boolean;
  readonly ms: number;
  readonly output: string;
}

export const GATES: readonly Gate[] = [
  { name: 'types', program: 'typescript/bin/tsc', args: ['--noEmit', '--listFiles'], evidence: /\.ts$/m },
  {
    name: 'lint',
    program: 'oxlint/bin/oxlint',
    args: ['--type-aware', '--deny-warnings'],
    evidence: /on [1-9]\d* files?/,
  },
  { name: 'format', program: 'oxfmt/bin/oxfmt', args: ['--check'], evidence: /on [1-9]\d* files?/ },
  { name: 'unused', program: 'knip/bin/knip.js', args: ['--no-progress'], evidence: null },
];

/** Runs one gate over the project in `cwd`; a gate that is missing, crashes or looks at nothing fails. */
export async function runGate(gate: Gate, cwd: string): Promise<GateResult> {
  const begun = performance.now();
  const program = path.join(cwd, 'node_modules', gate.program);
  const result = (passed: boolean, output: string): GateResult => {
    return { name: gate.name, passed, ms: performance.now() - begun, output };
  };
  if (!existsSync(program)) return result(false, `${program} is not installed: run npm ci`);
  const { code, output } = await runNode([program, ...gate.args], cwd);
  if (code !== 0) return result(false, output);
  if (gate.evidence !== null && !gate.evidence.test(output))
    return result(false, `${output}\n${gate.name} ended well without having looked at any file`);
  return result(true, output);
}

/** Runs every gate in turn and prints each with its time; a failing gate's output is shown whole. */
export async function runGates(cwd: string, print: (line: string) => void): Promise<readonly GateResult[]> {
  const results: GateResult[] = [];
  for (const gate of GATES) {
    const result = await runGate(gate, cwd);
    print(`${result.passed ? 'ok  ' : 'FAIL'} ${result.name.padEnd(8)} ${seconds(result.ms)}`);
    if (!result.passed) print(withoutListedFiles(result.output));
    results.push(result);
  }
  return results;
}

/** `1.2 s` */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

// `--listFiles` is asked for as evidence only; its hundreds of paths would bury the errors.
function withoutListedFiles(output: string): string {
  return output
    .split('\n')
    .filter((line) => !/^\S+\.(?:d\.)?[cm]?ts$/.test(line))
    .join('\n');
}

function runNode(args: readonly string[], cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
