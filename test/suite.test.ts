import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { planPreparation } from '../scripts/prepare.ts';
import { testFiles } from '../scripts/suite.ts';

interface Ran {
  readonly passed: number;
  readonly failed: number;
  readonly printed: string;
}

const HEAD = "import test from 'node:test';\nimport assert from 'node:assert';\n";

test('counts what passed', (t) => {
  const ran = suite(t, "test('a', () => {});\ntest('b', async (t) => { await t.test('c', () => {}); });");
  assert.deepEqual([ran.passed, ran.failed], [3, 0]);
});

test('shows a failure with the error and everything the file printed', (t) => {
  const ran = suite(t, "test('a', () => { console.log('printed before'); assert.equal(1, 2); });");
  assert.deepEqual([ran.passed, ran.failed], [0, 1]);
  assert.match(ran.printed, /FAIL a\n[\s\S]*AssertionError[\s\S]*printed before/);
});

test('counts a nested failure once', (t) => {
  const ran = suite(t, "test('a', async (t) => { await t.test('b', () => assert.fail('deep')); });");
  assert.equal(ran.failed, 1);
  assert.match(ran.printed, /deep/);
});

for (const [what, text, found] of [
  ['a skipped test', "test.skip('a', () => {});\ntest('b', () => {});", /FAIL a\nnot run/],
  ['a test skipped while it runs', "test('a', (t) => t.skip());\ntest('b', () => {});", /FAIL a\nnot run/],
  [
    'a test skipped with an empty reason',
    "test('a', { skip: '' }, () => {});\ntest('b', () => {});",
    /FAIL a\nnot run/,
  ],
  ['a skipped suite', "test.describe.skip('a', () => {});\ntest('b', () => {});", /FAIL a\nnot run/],
  ['a todo', "test.todo('a');\ntest('b', () => {});", /FAIL a\nnot run/],
  ['a file without tests', "console.log('nothing here');", /holds none/],
  [
    'a file that ends early with exit code 0',
    "test('a', () => {});\ntest('b', () => process.exit(0));",
    /ended before/,
  ],
  [
    'a file that ends early with exit code 3',
    "test('a', () => {});\ntest('b', () => process.exit(3));",
    /ended before/,
  ],
  ['a file that cannot be loaded', "import './absent.ts';", /ERR_MODULE_NOT_FOUND/],
  [
    'a rejection after the last test',
    "test('a', () => { setImmediate(() => Promise.reject(new Error('late'))); });",
    /late/,
  ],
  [
    'a suite whose hook fails',
    "test.describe('a', () => { test.before(() => assert.fail()); test('b', () => {}); });",
    /FAIL/,
  ],
] as const)
  test(`does not pass ${what}`, (t) => {
    const ran = suite(t, text);
    assert.ok(ran.failed > 0, ran.printed);
    assert.match(ran.printed, found);
  });

test('long tests run only when asked for', async () => {
  const root = path.join(import.meta.dirname, '..');
  const short = await testFiles(root, { long: false, only: [] });
  const long = await testFiles(root, { long: true, only: [] });
  assert.ok(short.includes('test/suite.test.ts'));
  assert.ok(short.every((file) => !file.endsWith('.long.test.ts')));
  assert.ok(long.every((file) => file.endsWith('.long.test.ts')));
  assert.deepEqual(await testFiles(root, { long: false, only: ['test/suite'] }), ['test/suite.test.ts']);
});

const BARE = { debian: true, root: true, programs: new Set(['python3']), pythonVenv: false };

test('installs what is missing on Debian as root, and only that', () => {
  const programs = new Set(['python3', 'chromium', 'go', 'ip', 'nft']);
  assert.deepEqual(planPreparation({ ...BARE, programs, pythonVenv: true }), {
    kind: 'install',
    list: ['strace: shows that the sync returned before the first byte left'],
    packages: ['strace'],
  });
});

test('says what to install where it may not', () => {
  const plan = planPreparation({ ...BARE, root: false });
  assert.equal(plan.kind, 'ask');
  assert.match(
    plan.kind === 'ask' ? plan.advice : '',
    /apt-get install -y chromium strace iproute2 nftables golang-go python3-venv/,
  );
  assert.equal(planPreparation({ ...BARE, debian: false }).kind, 'ask');
});

test('asks for nothing when everything is there', () => {
  const programs = new Set(['python3', 'chromium', 'go', 'strace', 'ip', 'nft']);
  assert.deepEqual(planPreparation({ ...BARE, root: false, programs, pythonVenv: true }), { kind: 'ready' });
});

// The runner refuses to run within a test, so it runs in a process that does not know of this one.
function suite(t: TestContext, text: string): Ran {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-suite-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'planted.test.ts'), HEAD + text);
  const program = `
    import { runSuite } from ${JSON.stringify(path.join(import.meta.dirname, '..', 'scripts', 'suite.ts'))};
    const options = { long: false, print: (line) => console.log(line) };
    const { passed, failed } = await runSuite(${JSON.stringify(folder)}, ['planted.test.ts'], options);
    console.log(passed + ' ' + failed);`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const file = path.join(folder, 'run.ts');
  writeFileSync(file, program);
  const printed = execFileSync(process.execPath, [file], { env }).toString();
  const [, passed, failed] = /(\d+) (\d+)\n$/.exec(printed) ?? [];
  return { passed: Number(passed), failed: Number(failed), printed };
}
