import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { testSite, wholeRoad } from '../../test/support/ledger-site.ts';
import { logFolder, SCHEDULED } from '../../test/support/rotation.ts';
import { checkLog } from './check.ts';
import { parseSigner, signCheckpoint, signerFromSeed } from './note.ts';

const OTHER_ROOT = 'x'.repeat(32);

test('what a thief signs with the old key after a compromise is told from what the site signed', async () => {
  await using site = testSite();
  const first = await site.open();
  for (let at = 0; at < 4; at++) await wholeRoad(first);
  const { rid } = await wholeRoad(first);
  const early = (await first.receipt(rid))?.checkpoint ?? assert.fail();
  await site.close();
  const { ended, began, kept } = await site.rotate({ ...SCHEDULED, reason: 'compromise', keepKey: true });
  const thief = parseSigner(readFileSync(kept ?? '', 'utf8'));
  const [oldId, newId] = [ended, began].map(({ origin }) => origin.slice(-8));
  const byNew = async (note: string): Promise<readonly [number, string | undefined]> => {
    const { exit, lines } = await checkLog(logFolder(site, newId ?? ''), began.vkey, note);
    return [exit, lines[1]];
  };
  const byOld = async (note: string): Promise<readonly [number, string | undefined]> => {
    const { exit, lines } = await checkLog(logFolder(site, oldId ?? ''), ended.vkey, note);
    return [exit, lines[1]];
  };
  const larger = signCheckpoint(thief, { size: 40, root: OTHER_ROOT });
  const same = signCheckpoint(thief, { size: 11, root: OTHER_ROOT });
  const smaller = signCheckpoint(thief, { size: 4, root: OTHER_ROOT });

  const notOurs = `presented: NOT OURS: ${ended.origin} ended with 11 entries; size=40 was signed by another hand that has its key`;
  assert.deepEqual(await byNew(larger), [1, notOurs]);
  assert.deepEqual(await byOld(larger), [1, notOurs]);
  assert.match(String((await byNew(same))[1]), /FORK: .* size=11, .* not its last checkpoint/);
  assert.match(String((await byOld(same))[1]), /FORK: size=11, /);
  assert.match(String((await byOld(smaller))[1]), /FORK: size=4, /);
  assert.equal((await byNew(smaller))[0], 2);
  assert.deepEqual(await byNew(ended.checkpoint), [
    0,
    `presented: ${ended.origin} size=11, its last checkpoint`,
  ]);
  assert.equal((await byOld(ended.checkpoint))[0], 0);
  assert.match(String((await byOld(early))[1]), /size=\d+, a checkpoint of this log/);
});

test('a check says which log was before, how this one ended, and refuses notes of strangers', async () => {
  await using site = testSite();
  await wholeRoad(await site.open());
  await site.close();
  const { ended, began } = await site.rotate({ ...SCHEDULED, reason: 'compromise' });
  const root = ended.checkpoint.split('\n')[2];
  const now = logFolder(site, began.origin.slice(-8));
  assert.ok((await checkLog(now, began.vkey)).lines.includes(`follows ${ended.origin} size=3 root=${root}`));
  const before = await checkLog(logFolder(site, ended.origin.slice(-8)), ended.vkey);
  assert.ok(before.lines.includes('ended reason=compromise successor=none named'));
  const stranger = signerFromSeed(ended.origin, Buffer.alloc(32, 9));
  for (const note of [
    signCheckpoint(stranger, { size: 40, root: OTHER_ROOT }),
    'no note at all',
    ended.checkpoint.replace('\n3\n', '\n4\n'),
  ])
    assert.equal((await checkLog(now, began.vkey, note)).exit, 2, note);
});
