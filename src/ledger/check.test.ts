import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { testSite, wholeRoad } from '../../test/support/ledger-site.ts';
import { checkLog, type LogCheck, type LogSource } from './check.ts';
import { realDisk } from './disk.ts';

function folderSource(folder: string): LogSource {
  return { read: (path) => realDisk.readFile(join(folder, path)) };
}

test('finds every flipped bit, missing file and cut bundle, and says where', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await Promise.all(Array.from({ length: 300 }, () => wholeRoad(ledger)));
  await site.close();
  const folder = join(site.dir, ledger.logId);
  const check = (): Promise<LogCheck> => checkLog(folderSource(folder), ledger.vkey);
  assert.equal((await check()).exit, 0);
  const files = readdirSync(join(folder, 'tile'), { recursive: true, encoding: 'utf8' })
    .map((name) => join('tile', name))
    .filter((name) => statSync(join(folder, name)).isFile())
    .filter((name) => !name.includes('.p/') || name.endsWith('.p/88') || name.endsWith('.p/2'));
  assert.equal(files.length, 7);
  for (const file of files) {
    const path = join(folder, file);
    const whole = readFileSync(path);
    for (const at of [0, 40, whole.length - 1]) {
      writeFileSync(path, Buffer.from(whole).fill((whole[at] ?? 0) ^ 1, at, at + 1));
      const { exit, lines } = await check();
      assert.deepEqual([exit, lines[0]], [1, 'invalid'], `${file} at ${at}`);
    }
    writeFileSync(path, whole.subarray(0, whole.length - 1));
    assert.equal((await check()).exit, 1, `${file} cut off`);
    rmSync(path);
    assert.match((await check()).lines.join(), new RegExp(`${file}: not found`));
    writeFileSync(path, whole);
  }
  assert.equal((await check()).exit, 0);
});

test('cannot check without a checkpoint or with a malformed key, and refuses a foreign one', async () => {
  await using site = testSite();
  const ledger = await site.open();
  await wholeRoad(ledger);
  await site.close();
  const source = folderSource(join(site.dir, ledger.logId));
  assert.equal((await checkLog({ read: async () => null }, ledger.vkey)).exit, 2);
  assert.equal((await checkLog(source, 'no key')).exit, 2);
  await using other = testSite();
  assert.equal((await checkLog(source, (await other.open()).vkey)).exit, 1);
});

test('hostile bundles and tiles end in a verdict', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const { rid } = await wholeRoad(ledger);
  const note = Buffer.from((await ledger.receipt(rid))?.checkpoint ?? '');
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(1),
    Buffer.alloc(1 << 20, 0xff),
    Buffer.alloc(1 << 20),
  ]) {
    const read = async (path: string): Promise<Buffer> => (path === 'checkpoint' ? note : bytes);
    assert.equal((await checkLog({ read }, ledger.vkey)).exit, 1);
  }
});
