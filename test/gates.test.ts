import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { GATES, runGate } from '../scripts/gates.ts';
import type { Gate, GateResult } from '../scripts/gates.ts';
import { ROOT } from './support/source.ts';

const CONFIGURATION = ['.gitignore', '.oxlintrc.json', '.oxfmtrc.json', 'knip.json', 'tsconfig.json'];

const CLEAN: Files = {
  'src/cli/main.ts': "import { double } from '../core/double.ts';\n\nprocess.exitCode = double(0);\n",
  'src/core/double.ts': 'export function double(n: number): number {\n  return n * 2;\n}\n',
};

type Files = Readonly<Record<string, string>>;

for (const gate of GATES)
  test(`the gate ${gate.name} passes a clean project`, async (t) => {
    const result = await runIn(t, gate, {});
    assert.ok(result.passed, result.output);
  });

const PLANTED: readonly (readonly [what: string, gate: string, files: Files, found: RegExp])[] = [
  [
    'a wrong type',
    'types',
    { 'src/core/double.ts': "export function double(n: number): number {\n  return '2' + n;\n}\n" },
    /TS2322/,
  ],
  [
    'syntax that cannot be erased',
    'types',
    { 'src/core/kind.ts': 'export enum Kind {\n  One,\n}\n' },
    /TS1294/,
  ],
  [
    'an unchecked index',
    'types',
    { 'src/core/first.ts': 'export const first = (list: number[]): number => list[0];\n' },
    /TS2322/,
  ],
  [
    'a socket outside egress',
    'lint',
    { 'src/policy/reach.ts': "import net from 'node:net';\n\nexport const reach = net.connect(1);\n" },
    /sockets come from the egress room/,
  ],
  [
    'fetch',
    'lint',
    { 'src/policy/reach.ts': "export const reach = (): Promise<Response> => fetch('http://a');\n" },
    /no-restricted-globals/,
  ],
  [
    'randomness that is not passed in',
    'lint',
    { 'src/policy/draw.ts': 'export const draw = (): number => Math.random();\n' },
    /randomness comes from World/,
  ],
  [
    'the environment read outside its file',
    'lint',
    { 'src/policy/env.ts': "export const home = process.env['HOME'];\n" },
    /no-process-env/,
  ],
  ['a file of 401 lines', 'lint', { 'src/core/long.ts': 'export {};\n'.repeat(401) }, /max-lines/],
  [
    'a function of 81 lines',
    'lint',
    { 'src/core/long.ts': `export function long(): void {\n${'  long();\n'.repeat(79)}}\n` },
    /max-lines-per-function/,
  ],
  ['any', 'lint', { 'src/core/any.ts': 'export let anything: any;\n' }, /no-explicit-any/],
  [
    'a non-null assertion',
    'lint',
    { 'src/core/a.ts': 'export const f = (x?: string) => x!;\n' },
    /no-non-null/,
  ],
  [
    'a floating promise',
    'lint',
    {
      'src/core/float.ts':
        'async function work(): Promise<void> {}\n\nexport function go(): void {\n  work();\n}\n',
    },
    /no-floating-promises/,
  ],
  [
    'a switch that forgets a case',
    'lint',
    {
      'src/core/which.ts':
        "export function which(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}\n",
    },
    /switch-exhaustiveness-check/,
  ],
  ['a default export', 'lint', { 'src/core/a.ts': 'export default 1;\n' }, /no-default-export/],
  ['an unformatted file', 'format', { 'src/core/a.ts': 'export const  a = "x"\n' }, /src\/core\/a\.ts/],
  [
    'an unused export',
    'unused',
    {
      'src/core/double.ts': `${CLEAN['src/core/double.ts'] ?? ''}\nexport const unused = 1;\n`,
    },
    /unused/,
  ],
  ['an unused file', 'unused', { 'src/core/orphan.ts': 'export const a = 1;\n' }, /src\/core\/orphan\.ts/],
  [
    'a package that is not declared',
    'unused',
    { 'src/core/double.ts': "import 'semver';\n\nexport const double = (n: number): number => n;\n" },
    /semver/,
  ],
];

for (const [what, name, files, found] of PLANTED)
  test(`the gate ${name} catches ${what}`, async (t) => {
    const gate = GATES.find((one) => one.name === name);
    assert.ok(gate !== undefined);
    const result = await runIn(t, gate, files);
    assert.equal(result.passed, false, `passed:\n${result.output}`);
    assert.match(result.output, found);
  });

test('a gate of the sources that looked at none fails', async (t) => {
  const folder = project(t, {});
  rmSync(path.join(folder, 'src'), { recursive: true });
  for (const gate of GATES.filter(({ name }) => name === 'types' || name === 'lint')) {
    const result = await runGate(gate, folder);
    assert.equal(result.passed, false, `${gate.name} passed:\n${result.output}`);
  }
});

test('a gate that is not installed fails', async (t) => {
  const result = await runIn(t, { name: 'absent', program: 'absent/bin.js', args: [], evidence: null }, {});
  assert.equal(result.passed, false);
  assert.match(result.output, /run npm ci/);
});

async function runIn(t: TestContext, gate: Gate, files: Files): Promise<GateResult> {
  return await runGate(gate, project(t, files));
}

// A project of its own with this one's configuration, so that what is planted never stands among the real sources.
function project(t: TestContext, files: Files): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-gate-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const file of CONFIGURATION) cpSync(path.join(ROOT, file), path.join(folder, file));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const manifest = {
    name: 'planted',
    version: '1.0.0',
    type: 'module',
    devDependencies: { '@types/node': '*' },
  };
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const [file, text] of Object.entries({ ...CLEAN, ...files })) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  return folder;
}
