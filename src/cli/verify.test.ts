import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { ReceiptCase } from '../../test/support/receipt-cases.ts';
import { RECEIPTS, receiptCases } from '../../test/support/receipt-cases.ts';
import { signedLog } from '../../test/support/signed-log.ts';
import { verifyCommand } from './verify.ts';

const at = (file: string): string => path.join(RECEIPTS, file);
const VKEY = readFileSync(at('vkey.txt'), 'utf8').trim();
const KEY = ['--key', VKEY];
const cases = receiptCases();

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  let [out, err] = ['', ''];
  const exit = await verifyCommand(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    env,
    readFile: (file) => readFile(file),
  });
  return { exit, out, err, lines: out.split('\n') };
}

function argsOf(found: ReceiptCase): string[] {
  const options = ['key', 'policy', 'request', 'response'] as const;
  return [
    at(found.file),
    ...options.flatMap((name) => (found[name] === null ? [] : [`--${name}`, at(found[name])])),
  ];
}

test('the cases are all there', () => assert.equal(cases.length, 241));

for (const found of cases)
  test(`answers ${found.exit} to ${found.case}: ${found.targets}`, async () => {
    const { exit, out, err, lines } = await run(argsOf(found));
    assert.equal(exit, found.exit, out + err);
    assert.equal(lines[0], ['valid', 'invalid', 'not comparable'][found.exit]);
    assert.equal(
      /^level=(\S+) state=(\S+)$/m.exec(out)?.[0],
      found.level === null ? undefined : `level=${found.level} state=${found.state}`,
    );
    const { reasons } = JSON.parse((await run([...argsOf(found), '--json'])).out);
    if (found.exit === 0) assert.deepEqual(reasons, []);
    else if (found.reasons > 0) assert.equal(reasons.length, found.reasons, reasons.join('\n'));
    else assert.ok(reasons.length > 0);
  });

test('shows decision and outcome of a valid receipt', async () => {
  const { lines } = await run([at('ok-retry.json'), ...KEY]);
  assert.deepEqual(
    lines.slice(2).map((line) => line.split(' leaf=')[0]),
    [
      'attempt 1 decision allow',
      'attempt 1 outcome provider-error',
      'attempt 2 decision allow',
      'attempt 2 outcome ok',
      '',
    ],
  );
});

test('takes the key from SEKISHO_LOG_KEY, as text or as a file, and prefers what the command line says', async () => {
  assert.equal((await run([at('ok-plain.json')], { SEKISHO_LOG_KEY: VKEY })).exit, 0);
  assert.equal((await run([at('ok-plain.json')], { SEKISHO_LOG_KEY: at('vkey.txt') })).exit, 0);
  assert.equal((await run([at('ok-plain.json'), ...KEY], { SEKISHO_LOG_KEY: 'x' })).exit, 0);
  assert.equal(
    (await run([at('ok-plain.json'), '--policy', at('policy-other-log.txt')], { SEKISHO_LOG_KEY: VKEY }))
      .exit,
    1,
  );
  assert.equal((await run([at('ok-plain.json')], { SEKISHO_LOG_KEY: '' })).exit, 2);
});

test('says on standard error what makes a file unusable', async () => {
  const { err, lines } = await run([at('no-such-receipt.json'), ...KEY]);
  assert.match(err, /^sekisho verify: .*no-such-receipt\.json: cannot read /);
  assert.equal(lines[0], 'not comparable');
});

test('finds a receipt invalid though a body cannot be read', async () => {
  assert.equal((await run([at('bad-entry-bit.json'), ...KEY, '--request', at('no-such-file')])).exit, 1);
});

test('ends with the worst of several files: 1 before 2 before 0', async () => {
  const [ok, bad, unusable] = ['ok-plain.json', 'bad-entry-bit.json', 'unusable-text.json'].map(at);
  const several = async (...files: (string | undefined)[]) =>
    run([...files.flatMap((file) => file ?? []), ...KEY]);
  assert.equal((await several(ok, ok)).exit, 0);
  assert.equal((await several(ok, unusable)).exit, 2);
  const all = await several(unusable, bad, ok);
  assert.equal(all.exit, 1);
  assert.equal(all.lines[0], 'invalid');
  assert.ok(all.lines.includes(`${ok}: valid`));
});

test('prints one JSON object a file with --json', async () => {
  const { out, exit } = await run([at('ok-plain.json'), at('bad-body.json'), ...KEY, '--json']);
  const objects = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(exit, 0);
  assert.deepEqual(
    objects.map(({ verdict, level, state }) => [verdict, level, state]),
    [
      ['valid', 'logged', 'closed'],
      ['valid', 'logged', 'closed'],
    ],
  );
  assert.equal(objects[0].summary.attempts[0].outcome.status, 'ok');
});

test('prints its usage in both languages, and refuses wrong usage with 2', async () => {
  assert.match((await run(['--help'])).out, /^usage: /);
  assert.match((await run(['--help'], { LANG: 'ja_JP.UTF-8' })).out, /^使い方/);
  assert.match((await run(['--help'], { LC_ALL: 'C', LANG: 'ja_JP.UTF-8' })).out, /^usage: /);
  for (const args of [[], [...KEY], ['x', '--nonsense'], ['x', '--key'], ['x', ...KEY, '--policy', 'p']]) {
    const { exit, err, out } = await run(args);
    assert.deepEqual([exit, out], [2, '']);
    assert.match(err, /^sekisho verify: .+\n\nusage: /);
  }
});

test('shows nothing that a terminal would obey or that could pass for another field', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'verify-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const log = signedLog('localhost/test/00000000');
  const id = 'r_00000000000000000000000000';
  const model = 'a\u001b[2J\nvalid\u202e to=local/x';
  const c = { in: Buffer.alloc(32).toString('base64') };
  log.append({
    v: 1,
    kind: 'decision',
    rid: id,
    attempt: 1,
    prev: null,
    log: log.origin,
    effect: 'allow',
    model,
    to: {},
    c,
  });
  const attempts = [{ decision: log.proven(0), outcome: null }];
  const file = path.join(folder, 'receipt.json');
  writeFileSync(file, JSON.stringify({ v: 1, id, origin: log.origin, checkpoint: log.note(), attempts }));
  const text = await run([file, '--key', log.vkey]);
  assert.equal(text.exit, 0);
  assert.equal(text.lines.length, 4);
  assert.ok(text.lines[2]?.includes('model="a\\u001b[2J\\nvalid\\u202e to=local/x"'), text.out);
  const json = await run([file, '--key', log.vkey, '--json']);
  assert.doesNotMatch(json.out.trimEnd(), /[\p{Cc}\p{Cf}]/u);
  assert.equal(JSON.parse(json.out).summary.attempts[0].decision.model, model);
});
