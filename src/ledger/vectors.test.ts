import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { checkLog } from './check.ts';
import { realDisk } from './disk.ts';
import { formatVkey, openCheckpoint, parseSigner, signCheckpoint } from './note.ts';
import { TiledLog } from './tiled-log.ts';
import { partialTiles, tilePath } from './tile-path.ts';

const FIXTURE = join(import.meta.dirname, '..', '..', 'fixtures', 'tlog');
const ENTRIES = 'one two three four five six seven eit nain ten ileven twelf threeten fourten fivten'.split(
  ' ',
);
const [SECRET = '', VKEY = ''] = readFileSync(join(FIXTURE, 'keys.txt'), 'utf8').split('\n');

test('reproduces the 16 checkpoints, the tiles and the bundles of a foreign log byte for byte', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sekisho-vectors-'));
  try {
    const signer = parseSigner(SECRET);
    assert.equal(formatVkey(signer.vkey), VKEY);
    const log = new TiledLog(realDisk, folder);
    let compared = 0;
    for (let size = 0; size <= ENTRIES.length; size++) {
      if (size > 0) log.append(Buffer.from(ENTRIES[size - 1] ?? ''));
      const note = signCheckpoint(signer, { size, root: log.root() });
      assert.equal(note, readFileSync(join(FIXTURE, 'log', `checkpoint.${size}`), 'utf8'));
      await log.publish(size, note);
      for (const path of ['checkpoint', ...partialTiles(size).map(tilePath)]) {
        const expected = path === 'checkpoint' ? `checkpoint.${size}` : path;
        const found = readFileSync(join(folder, path));
        assert.deepEqual(found, readFileSync(join(FIXTURE, 'log', expected)));
        compared += 1;
      }
    }
    assert.equal(compared, 16 + 2 * 15);
    const source = { read: (path: string) => realDisk.readFile(join(folder, path)) };
    assert.equal((await checkLog(source, VKEY)).exit, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('checks the foreign log itself', async () => {
  const source = { read: (path: string) => realDisk.readFile(join(FIXTURE, 'log', path)) };
  assert.deepEqual((await checkLog(source, VKEY)).lines[0], 'valid');
});

test('refuses a checkpoint of which one bit was changed', async () => {
  const { vkey } = parseSigner(SECRET);
  const note = readFileSync(join(FIXTURE, 'log', 'checkpoint.15'));
  for (const at of [3, 28, 40, note.length - 20]) {
    const changed = Buffer.from(note);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const head = await openCheckpoint(changed.toString('utf8'), vkey);
    assert.ok(head instanceof Error, `bit at ${at}`);
  }
});
