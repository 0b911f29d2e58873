import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { silentLog } from '../core/log.ts';
import { diskError, plantedDisk } from '../../test/support/ledger-site.ts';
import { realDisk, type Disk } from './disk.ts';
import { BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './segment.ts';
import { Wal } from './wal.ts';

const SEGMENT_BYTES = 4096;

class Folder implements Disposable {
  readonly path = join(mkdtempSync(join(tmpdir(), 'sekisho-wal-')), 'wal');

  async open(disk: Disk = realDisk): Promise<{ wal: Wal; found: string[] }> {
    const found: string[] = [];
    const wal = await Wal.open({
      disk,
      directory: this.path,
      logId: '0a1b2c3d',
      segmentBytes: SEGMENT_BYTES,
      log: silentLog,
      onBatch: (batch) => {
        assert.equal(batch.firstIndex, found.length);
        found.push(...batch.entries.map(String));
      },
    });
    return { wal, found };
  }

  async entries(): Promise<string[]> {
    const { wal, found } = await this.open();
    await wal[Symbol.asyncDispose]();
    return found;
  }

  segments(): string[] {
    return readdirSync(this.path)
      .filter((name) => name.endsWith('.wal'))
      .sort()
      .map((name) => join(this.path, name));
  }

  lastSegment(): string {
    return this.segments().at(-1) ?? assert.fail('no segment');
  }

  [Symbol.dispose](): void {
    rmSync(join(this.path, '..'), { recursive: true, force: true });
  }
}

function batch(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

async function written(folder: Folder, batches: readonly Buffer[][]): Promise<void> {
  const { wal } = await folder.open();
  for (const entries of batches) await wal.append(entries);
  await wal[Symbol.asyncDispose]();
}

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

test('replays every batch in order, over many segments', async () => {
  using folder = new Folder();
  const texts = Array.from({ length: 40 }, (_, i) => `${i}-${'x'.repeat(400)}`);
  await written(
    folder,
    texts.map((text) => batch(text)),
  );
  assert.ok(folder.segments().length > 3);
  assert.deepEqual(await folder.entries(), texts);
  assert.deepEqual(await folder.entries(), texts);
});

test('cuts the last batch wherever it was torn, and appends in its place', async () => {
  using folder = new Folder();
  await written(folder, [batch('one', 'two'), batch('three')]);
  const whole = readFileSync(folder.lastSegment());
  const lastAt = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES + 2 * 2 + 6;
  const lastBytes = BATCH_HEADER_BYTES + 2 + 5;
  for (const filler of [0, 0xa5])
    for (let kept = 0; kept < lastBytes; kept++) {
      using copy = new Folder();
      await copy.entries();
      writeFileSync(
        join(copy.path, '000000000001.wal'),
        Buffer.from(whole).fill(filler, lastAt + kept, lastAt + lastBytes),
      );
      const { wal, found } = await copy.open();
      assert.deepEqual(found, ['one', 'two'], `torn after ${kept} bytes`);
      await wal.append(batch('3'));
      await wal[Symbol.asyncDispose]();
      assert.deepEqual(await copy.entries(), ['one', 'two', '3']);
    }
});

test('refuses a damaged batch that a whole one follows, naming file, offset and fix', async () => {
  using folder = new Folder();
  await written(folder, [batch('one'), batch('two'), batch('three')]);
  const second = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES + 2 + 3;
  flip(folder.lastSegment(), second + BATCH_HEADER_BYTES + 3);
  await assert.rejects(folder.open(), (error: Error) => {
    assert.match(error.message, new RegExp(`\\.wal: the batch at offset ${second} is damaged`));
    assert.match(error.message, /Restore the data directory/);
    return true;
  });
});

test('refuses a zeroed batch that a whole one follows', async () => {
  using folder = new Folder();
  await written(folder, [batch('one'), batch('two')]);
  const bytes = readFileSync(folder.lastSegment());
  bytes.fill(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES);
  writeFileSync(folder.lastSegment(), bytes);
  await assert.rejects(folder.open(), { code: 'ledger.corrupt' });
});

test('refuses damage in a segment that others follow, a damaged header and a missing segment', async () => {
  for (const harm of [
    (files: string[]) => flip(files[1] ?? '', SEGMENT_HEADER_BYTES + 40),
    (files: string[]) => flip(files[1] ?? '', 3),
    (files: string[]) => rmSync(files[1] ?? ''),
  ]) {
    using folder = new Folder();
    await written(
      folder,
      Array.from({ length: 20 }, () => batch('x'.repeat(900))),
    );
    harm(folder.segments());
    await assert.rejects(folder.open(), { code: 'ledger.corrupt' });
  }
});

test('what a failed sync left behind is void: recovery neither doubles nor revives it', async () => {
  using folder = new Folder();
  let fails = false;
  const disk = plantedDisk((operation) => {
    if (operation === 'datasync' && fails) throw diskError('EIO');
  });
  const { wal } = await folder.open(disk);
  await wal.append(batch('kept'));
  fails = true;
  await assert.rejects(wal.append(batch('unsure')), { code: 'EIO' });
  await assert.rejects(wal.append(batch('too early')), TypeError);
  await assert.rejects(wal.recover(), { code: 'EIO' });
  assert.equal(wal.nextIndex, 1);
  fails = false;
  await wal.recover();
  await wal.append(batch('after'));
  await wal[Symbol.asyncDispose]();
  assert.deepEqual(await folder.entries(), ['kept', 'after']);
});

test('a process that dies after a failed sync leaves a log that opens', async () => {
  using folder = new Folder();
  let fails = false;
  const disk = plantedDisk((operation) => {
    if (operation === 'datasync' && fails) throw diskError('EIO');
  });
  const { wal } = await folder.open(disk);
  await wal.append(batch('kept'));
  fails = true;
  await assert.rejects(wal.append(batch('unsure')), { code: 'EIO' });
  await wal[Symbol.asyncDispose]();
  assert.deepEqual(await folder.entries(), ['kept', 'unsure']);
  assert.deepEqual(await folder.entries(), ['kept', 'unsure']);
});

test('on start the last segment is written anew and synced before anything is appended', async () => {
  using folder = new Folder();
  await written(folder, [batch('one')]);
  const before = folder.lastSegment();
  const operations: string[] = [];
  const { wal } = await folder.open(
    plantedDisk((operation, path) => {
      operations.push(`${operation} ${path.split('/').at(-1)}`);
    }),
  );
  assert.deepEqual(
    // A spare segment that the process before had begun is cleared away first.
    operations.filter((line) => line.includes('000000000002') && !line.startsWith('remove')),
    [
      'open 000000000002.wal.new',
      'write 000000000002.wal.new',
      'datasync 000000000002.wal.new',
      'open 000000000002.wal.new',
      'write 000000000002.wal.new',
      'datasync 000000000002.wal.new',
      'rename 000000000002.wal',
    ],
  );
  assert.ok(!folder.segments().includes(before));
  await wal[Symbol.asyncDispose]();
});

test('removes only segments whose leaves all lie below the given index', async () => {
  using folder = new Folder();
  const { wal } = await folder.open();
  for (let i = 0; i < 12; i++) await wal.append(batch('x'.repeat(1200)));
  assert.equal(folder.segments().length, 4);
  await wal.retire(5);
  assert.equal(folder.segments().length, 3);
  await wal.retire(12);
  assert.equal(folder.segments().length, 1);
  await wal[Symbol.asyncDispose]();
  const first = readFileSync(folder.lastSegment()).readBigUInt64LE(24);
  assert.equal(first, 9n);
});

test('a full disk refuses and leaves no half segment behind', async () => {
  using folder = new Folder();
  let isFull = false;
  const disk = plantedDisk((operation, path) => {
    if (isFull && operation === 'write' && path.endsWith('.new')) throw diskError('ENOSPC');
  });
  const { wal } = await folder.open(disk);
  await wal.append(batch('one'));
  isFull = true;
  await assert.rejects(
    (async () => {
      for (;;) await wal.append(batch('x'.repeat(1200)));
    })(),
    { code: 'ENOSPC' },
  );
  await assert.rejects(wal.recover(), { code: 'ENOSPC' });
  assert.deepEqual(
    readdirSync(folder.path).filter((name) => name.endsWith('.new')),
    [],
  );
  isFull = false;
  await wal.recover();
  const at = wal.nextIndex;
  await wal.append(batch('space again'));
  await wal[Symbol.asyncDispose]();
  assert.equal((await folder.entries())[at], 'space again');
});
