import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lyingLog } from '../../test/support/lying-log.ts';
import { testSite, wholeRoad } from '../../test/support/ledger-site.ts';
import { checkLog } from './check.ts';
import { getEntries, getTile } from './contract.ts';
import { continuationOf } from './monitor/continuation.ts';
import { openCheckpoint, readVkey } from './note.ts';
import { ledgerRoutes } from './routes.ts';
import { Defect } from './verify/findings.ts';

/* Hostile tiles, bundles and names of tiles: each row names the rule of C2SP tlog-tiles that its input breaks. */

const SIZE = 700;
const ENTRIES = Array.from({ length: SIZE }, (_, i) => Buffer.from(`entry ${i}`));
const HASH = 32;

function shown(): ReturnType<typeof lyingLog> {
  const log = lyingLog();
  log.show(ENTRIES);
  return log;
}

async function bytesAt(path: string): Promise<Buffer> {
  return (await shown().read(path, 1 << 30)) ?? assert.fail(path);
}

/** A file of the log, changed against a rule of C2SP tlog-tiles, and what is said of it. */
type Planted = readonly [
  what: string,
  rule: string,
  path: string,
  change: (whole: Buffer) => Buffer | null,
  reason: RegExp,
];

const TILES: readonly Planted[] = [
  [
    'a full tile of 255 hashes',
    'a full tile has 256 hashes',
    'tile/0/000',
    (whole) => whole.subarray(HASH),
    /256 hashes/,
  ],
  [
    'a full tile of 257 hashes',
    'a full tile has 256 hashes',
    'tile/0/000',
    (whole) => Buffer.concat([whole, whole.subarray(0, HASH)]),
    /256 hashes/,
  ],
  [
    'a partial tile that is full',
    'a partial tile has its width',
    'tile/0/002.p/188',
    () => Buffer.alloc(256 * HASH),
    /188 hashes/,
  ],
  [
    'a partial tile of another width',
    'a partial tile has its width',
    'tile/0/002.p/188',
    (whole) => whole.subarray(HASH),
    /188 hashes/,
  ],
  [
    'a tile that is cut in a hash',
    'a tile is a sequence of hashes',
    'tile/0/002.p/188',
    (whole) => whole.subarray(1),
    /188 hashes/,
  ],
  ['an empty tile', 'an empty tile is not served', 'tile/1/000.p/2', () => Buffer.alloc(0), /2 hashes/],
  [
    'a tile in hex',
    'a tile is binary',
    'tile/1/000.p/2',
    (whole) => Buffer.from(whole.toString('hex')),
    /2 hashes/,
  ],
  [
    'a compressed tile',
    'hash tiles are not compressed',
    'tile/0/000',
    (whole) => Buffer.concat([Buffer.from([0x1f, 0x8b]), whole]),
    /256 hashes/,
  ],
  [
    'a page in place of a tile',
    'a tile is binary',
    'tile/0/000',
    () => Buffer.from('<html>not here</html>'),
    /256 hashes/,
  ],
  ['a missing tile', 'a log serves the tiles of its size', 'tile/0/000', () => null, /not there/],
  [
    'its hashes swapped',
    'hash i is that of subtree i',
    'tile/1/000.p/2',
    (whole) => Buffer.concat([whole.subarray(HASH), whole.subarray(0, HASH)]),
    /lead to the root/,
  ],
  [
    'a flipped bit',
    'hash i is that of subtree i',
    'tile/1/000.p/2',
    (whole) => flip(whole, 33),
    /lead to the root/,
  ],
  [
    'the tile before it',
    'tile N has the hashes from N * 256',
    'tile/0/002.p/188',
    () => Buffer.alloc(188 * HASH, 7),
    /lead to the root/,
  ],
];

for (const [what, rule, path, change, reason] of TILES)
  test(`proves nothing by ${what} (${rule})`, { timeout: 10_000 }, async () => {
    const log = shown();
    const vkey = readVkey(log.vkey);
    const newer = await openCheckpoint(log.note(), vkey);
    log.show(ENTRIES.slice(0, 100));
    const older = await openCheckpoint(log.note(), vkey);
    log.show(ENTRIES);
    assert.ok(!(newer instanceof Defect) && !(older instanceof Defect));
    assert.deepEqual(await continuationOf(log, older, newer), { forked: false });
    log.plant(path, change(await bytesAt(path)));
    await assert.rejects(
      continuationOf(log, older, newer),
      (thrown) => thrown instanceof Defect && reason.test(thrown.message),
    );
  });

const BUNDLES: readonly Planted[] = [
  [
    'a bundle cut in an entry',
    'each entry is as long as said',
    'tile/entries/000',
    (whole) => whole.subarray(0, -1),
    /000: expected a bundle of 256/,
  ],
  [
    'a bundle cut in a length',
    'a length is two bytes',
    'tile/entries/000',
    (whole) => Buffer.concat([whole, Buffer.of(0)]),
    /bundle of 256/,
  ],
  [
    'a length beyond its end',
    'each entry is as long as said',
    'tile/entries/000',
    (whole) => flip(whole, 0),
    /bundle of 256/,
  ],
  [
    'a bundle of 255 entries',
    'a full bundle has 256 entries',
    'tile/entries/000',
    (whole) => whole.subarray(2 + 7),
    /bundle of 256/,
  ],
  [
    'a bundle of 257 entries',
    'a full bundle has 256 entries',
    'tile/entries/000',
    (whole) => Buffer.concat([whole, Buffer.of(0, 0)]),
    /bundle of 256/,
  ],
  [
    'little-endian lengths',
    'lengths are big-endian',
    'tile/entries/000',
    (whole) => Buffer.concat([Buffer.of(7, 0), whole.subarray(2)]),
    /bundle of 256/,
  ],
  [
    'an empty bundle',
    'an empty bundle is not served',
    'tile/entries/000',
    () => Buffer.alloc(0),
    /bundle of 256/,
  ],
  [
    'a bundle of empty entries',
    'entries are those of the tree',
    'tile/entries/000',
    () => Buffer.alloc(2 * 256),
    /hashes are not those of the entries|the entries give/,
  ],
  [
    'a partial bundle too short',
    'a partial bundle has its width',
    'tile/entries/002.p/188',
    (whole) => whole.subarray(2 + 9),
    /bundle of 188/,
  ],
  [
    'a missing bundle',
    'a log serves the bundles of its size',
    'tile/entries/002.p/188',
    () => null,
    /not found/,
  ],
  [
    'an entry that was changed',
    'entries are those of the tree',
    'tile/entries/000',
    (whole) => flip(whole, 5),
    /not those of the entries/,
  ],
  [
    'entries in another order',
    'entries are those of the tree',
    'tile/entries/000',
    (whole) => Buffer.concat([whole.subarray(9, 18), whole.subarray(0, 9), whole.subarray(18)]),
    /not those of the entries/,
  ],
];

for (const [what, rule, path, change, reason] of BUNDLES)
  test(`finds a log with ${what} invalid (${rule})`, { timeout: 10_000 }, async () => {
    const log = shown();
    const source = { read: (name: string) => log.read(name, 1 << 30) };
    assert.equal((await checkLog(source, log.vkey)).exit, 0);
    log.plant(path, change(await bytesAt(path)));
    const { exit, lines } = await checkLog(source, log.vkey);
    assert.deepEqual([exit, lines[0]], [1, 'invalid']);
    assert.match(lines.slice(1).join('\n'), reason);
  });

const NAMES: readonly (readonly [name: string, rule: string])[] = [
  ['0/0', 'three digits a group'],
  ['0/00', 'three digits a group'],
  ['0/0000', 'three digits a group'],
  ['0/1000', 'groups of three, all but the last behind an x'],
  ['0/001/000', 'groups of three, all but the last behind an x'],
  ['0/x001', 'the last group has no x'],
  ['0/x001/x000', 'the last group has no x'],
  ['0/X001/000', 'a lower-case x'],
  ['0/x000/000', 'no leading group of zeros'],
  ['0/x01/000', 'three digits a group'],
  ['0/+01', 'digits'],
  ['0/\u0660\u0660\u0660', 'ASCII digits'],
  ['0/000.p/0', 'a width of 1 to 255'],
  ['0/000.p/256', 'a width of 1 to 255'],
  ['0/000.p/01', 'no leading zero in a width'],
  ['0/000.p/3', 'no wider than the tree'],
  ['0/000.p/', 'a width of 1 to 255'],
  ['0/000.p', 'a width of 1 to 255'],
  ['0/000.P/1', 'a lower-case p'],
  ['0/000', 'no full tile before it is full'],
  ['0/001', 'no tile beyond the tree'],
  ['0/x999/x999/x999/x999/x999/999', 'no tile beyond the tree'],
  ['1/000.p/1', 'no tile of a level that the tree does not reach'],
  ['00/000.p/1', 'no leading zero in a level'],
  ['64/000.p/1', 'a level of 0 to 63'],
  ['-1/000.p/1', 'a level of 0 to 63'],
  ['data/000.p/1', 'a level of 0 to 63'],
  ['0/000.p/1/', 'one name a tile'],
  ['0//000.p/1', 'one name a tile'],
  ['0/./000.p/1', 'one name a tile'],
  ['0/../0/000.p/1', 'one name a tile'],
  ['0/000.p/1\n', 'one name a tile'],
  ['0/000.p/1\0', 'one name a tile'],
  [`0/${'x000/'.repeat(10_000)}000`, 'one name a tile'],
];

test('refuses every other name of a tile or bundle, by a reason, and gives the right one', async (t) => {
  await using site = testSite();
  const ledger = await site.open();
  const { rid } = await wholeRoad(ledger);
  assert.notEqual(await ledger.receipt(rid), null, 'a checkpoint covers both leaves');
  const ask = (of: typeof getTile | typeof getEntries, rest: string) => {
    const bound = ledgerRoutes(ledger).find(({ route }) => route === of) ?? assert.fail();
    const params = { log: ledger.logId, rest };
    const signal = AbortSignal.timeout(1000);
    return bound.handle({ params, query: {}, body: undefined, caller: null, header: () => null, signal });
  };
  assert.equal((await ask(getTile, '0/000.p/2')).content?.bytes.length, 2 * HASH);
  assert.notEqual((await ask(getEntries, '000.p/2')).content?.bytes.length, 0);
  const no = { code: 'ledger.no_tile', message: 'the log has no such tile at its signed size' };
  for (const [name, rule] of NAMES)
    await t.test(`${name.slice(0, 40)} (${rule})`, async () => {
      await assert.rejects(ask(getTile, name), no);
      await assert.rejects(ask(getEntries, name.replace(/^[^/]*\//, '').replace(/^(?:000\.p\/1)$/, '0')), no);
    });
});

function flip(bytes: Buffer, at: number): Buffer {
  return Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 0x40 : byte)));
}
