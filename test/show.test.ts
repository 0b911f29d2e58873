import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from './support/source.ts';

const COMMAND = 'bin/node.cjs examples/two-providers/show.ts';

test('one command shows an allow and a denial in both languages, and leaves nothing behind', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-show-test-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const child = spawn(process.execPath, COMMAND.split(' '), {
    cwd: ROOT,
    env: { TMPDIR: folder, HOME: folder },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, out + err);
  const [, first = '', denied = '', third = ''] = out.split(/^  Sekisho-Label: /m);
  assert.match(first, /^c1, model: chat-abroad\n  許可 allowed: foreign\/chat-model\n.*foreign provider/);
  assert.match(denied, /^c2, model: chat-abroad\n  拒否 denied: HTTP 403, .*sent abroad: 0\n/);
  assert.match(denied, /- default\/inference-abroad\n    この宛先が.*\n    This destination is not known/);
  assert.match(third, /^c2, model: chat\n  許可 allowed: domestic\/chat-model\n.*domestic provider/);
  assert.match(out, /domestic provider: 1, the foreign one: 1$/m);
  for (const part of [first, denied, third]) assert.match(part, /receipt: r_\w{26}\n/);
  assert.deepEqual(readdirSync(folder), []);
});

test('both READMEs name the command', () => {
  for (const file of ['README.md', 'README.ja.md'])
    assert.ok(readFileSync(path.join(ROOT, file), 'utf8').includes(`node ${COMMAND}`), file);
});
