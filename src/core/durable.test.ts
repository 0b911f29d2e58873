import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { makePrivateFolder } from './durable.ts';

test('makes a folder and its parents for the owner alone, and leaves what exists as it is', async (t) => {
  const top = mkdtempSync(path.join(tmpdir(), 'sekisho-durable-'));
  t.after(() => rmSync(top, { recursive: true }));
  const folder = path.join(top, 'a', 'b', 'c');
  await Promise.all([makePrivateFolder(folder), makePrivateFolder(folder)]);
  for (const made of [folder, path.dirname(folder), path.join(top, 'a')])
    assert.equal(statSync(made).mode & 0o777, 0o700, made);
  await makePrivateFolder(folder);
});

test('ends with an error where a parent takes no entries', async (t) => {
  const top = mkdtempSync(path.join(tmpdir(), 'sekisho-durable-'));
  t.after(() => rmSync(top, { recursive: true }));
  writeFileSync(path.join(top, 'file'), '');
  await assert.rejects(makePrivateFolder(path.join(top, 'file', 'a', 'b')), { code: 'ENOTDIR' });
  await assert.rejects(makePrivateFolder('/proc/nobody/a'), /E\w+/);
});
