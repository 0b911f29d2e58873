import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { zipOf } from '../../../test/support/zip.ts';
import { extractMember } from './zip.ts';

const DATA = Buffer.alloc(200_000, 'weights ');
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sekisho-zip-'));
});
after(() => rm(folder, { recursive: true }));

test('a member comes out as it went in, stored or deflated', async () => {
  for (const deflated of [false, true]) {
    const archive = zipOf([
      { name: 'other', data: Buffer.from('x') },
      { name: 'a/model', data: DATA, deflated },
    ]);
    assert.deepEqual(await extracted(archive), DATA);
  }
});

test('progress ends at the whole', async () => {
  const seen: number[] = [];
  await extracted(zipOf([{ name: 'a/model', data: DATA, deflated: true }]), (done) => seen.push(done));
  assert.equal(seen.at(-1), DATA.length);
});

test('a bomb is stopped at the size that was announced', async () => {
  const bomb = zipOf([
    { name: 'a/model', data: Buffer.alloc(5_000_000), deflated: true, claims: DATA.length },
  ]);
  await assert.rejects(extracted(bomb), { code: 'gateway.bad_archive' });
  assert.ok((await stat(join(folder, 'out'))).size <= DATA.length);
});

test('damaged, cut and lying archives are refused', async () => {
  const good = zipOf([{ name: 'a/model', data: DATA, deflated: true }]);
  const directoryAt = good.readUInt32LE(good.length - 6);
  const planted: Record<string, Buffer> = {
    empty: Buffer.alloc(0),
    'no archive': Buffer.alloc(70_000, 'PK'),
    cut: good.subarray(0, good.length >> 1),
    'member missing': zipOf([{ name: 'a/other', data: DATA }]),
    'other size': zipOf([{ name: 'a/model', data: DATA.subarray(1) }]),
    'directory outside': changed(good, good.length - 6, 0xfffffff0),
    'directory endless': changed(good, good.length - 10, 0xffffffff),
    'member outside': changed(good, directoryAt + 42, 0xfffffff0),
    'member elsewhere': changed(good, directoryAt + 42, 7),
    'packed otherwise': changed(good, directoryAt + 10, 99, 2),
    encrypted: changed(good, directoryAt + 8, 1, 2),
    'packed data damaged': changed(good, 40, 0xffffffff),
    'ends early': zipOf([{ name: 'a/model', data: DATA.subarray(9), deflated: true, claims: DATA.length }]),
  };
  for (const [name, archive] of Object.entries(planted)) {
    await assert.rejects(extracted(archive), { code: 'gateway.bad_archive' }, name);
  }
});

function changed(archive: Buffer, at: number, value: number, bytes = 4): Buffer {
  const copy = Buffer.from(archive);
  copy.writeUIntLE(value, at, bytes);
  return copy;
}

async function extracted(archive: Buffer, onProgress: (done: number) => void = () => {}): Promise<Buffer> {
  const path = join(folder, 'archive.zip');
  const to = join(folder, 'out');
  await writeFile(path, archive);
  const { signal } = new AbortController();
  await extractMember(path, { member: 'a/model', to, bytes: DATA.length, signal, onProgress });
  return readFile(to);
}
