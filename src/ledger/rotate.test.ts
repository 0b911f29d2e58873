import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { decision, newRoad, outcome, testSite, wholeRoad } from '../../test/support/ledger-site.ts';
import { keyFiles, logFolder, SCHEDULED, survivesPowerCuts, verdictOf } from '../../test/support/rotation.ts';
import { openAnchor } from './anchor.ts';
import { checkLog } from './check.ts';
import { realDisk } from './disk.ts';
import { parseSigner, signCheckpoint } from './note.ts';
import { readBeginning, readEnd } from './rotation.ts';
import { readBundle } from './segment.ts';

function idOf({ origin }: { readonly origin: string }): string {
  return origin.slice(-8);
}

test('a rotation ends one log and begins the next, and the receipts of both verify', async () => {
  await using site = testSite();
  const first = await site.open();
  const roads = [];
  for (let at = 0; at < 300; at++) roads.push(await wholeRoad(first));
  const { vkey, origin } = first;
  await site.close();
  const secret = readFileSync(join(site.top, 'data', 'keys', 'ledger-log.key'));

  const rotation = await site.rotate(SCHEDULED);
  assert.equal(rotation.ended.vkey, vkey);
  assert.equal(rotation.ended.origin, origin);
  assert.deepEqual(keyFiles(site), ['ledger-log.key', 'ledger-master.key']);
  assert.notDeepEqual(readFileSync(join(site.top, 'data', 'keys', 'ledger-log.key')), secret);

  const second = await site.open();
  assert.notEqual(second.origin, origin);
  assert.match(second.origin, /^localhost\/test\/[0-9a-f]{8}$/);
  assert.deepEqual(
    second.logs().map(({ origin: name, ended }) => [name, ended]),
    [
      [second.origin, false],
      [origin, true],
    ],
  );
  const fresh = await wholeRoad(second);
  for (const { rid, outcome: last } of [roads[0], roads[255], roads[299]].map(
    (road) => road ?? assert.fail(),
  )) {
    const receipt = await second.receipt(rid);
    assert.equal(receipt?.origin, origin);
    assert.equal(receipt.state, 'closed');
    assert.equal(receipt.attempts[0]?.outcome?.index, last);
    assert.equal(await verdictOf(receipt, [vkey]), 'valid');
    assert.equal(await verdictOf(receipt, [second.vkey]), 'invalid');
    assert.equal(await verdictOf(receipt, [second.vkey, vkey]), 'valid');
    assert.equal(Object.keys((await second.opening(rid)) ?? {}).length, 3);
    assert.deepEqual(await second.owner(rid), { tenant: 'org_test', caller: 'key_test' });
  }
  assert.equal(await verdictOf(await second.receipt(fresh.rid), [second.vkey]), 'valid');
  const [at] = roads;
  await second.erase(at?.rid ?? '');
  assert.equal((await second.receipt(at?.rid ?? ''))?.erased, true);
  assert.deepEqual(await second.opening(at?.rid ?? ''), {});
  await site.close();
  for (const { origin: name, vkey: key } of [rotation.ended, rotation.began])
    assert.deepEqual((await checkLog(logFolder(site, idOf({ origin: name })), key)).lines[0], 'valid');
});

test('the last leaf of a log and the first of its successor speak of each other', async () => {
  for (const reason of ['scheduled', 'compromise'] as const) {
    await using site = testSite();
    await wholeRoad(await site.open());
    await site.close();
    const { ended, began } = await site.rotate({ ...SCHEDULED, reason });
    const ledger = await site.open();
    const [now, before] = ledger.logs();
    const last = await leafAt(before, 2);
    const end = readEnd(last);
    assert.equal(end?.reason, reason);
    assert.equal(end.successor, reason === 'compromise' ? null : began.vkey);
    const start = await leafAt(now, 0);
    assert.deepEqual(readBeginning(start), {
      reason,
      predecessor: { origin: ended.origin, vkey: ended.vkey, checkpoint: ended.checkpoint },
    });
    assert.equal(ended.checkpoint.split('\n')[1], '3');
    const { id } = JSON.parse(start.toString('utf8'));
    assert.equal(id, end.id);
    assert.deepEqual(Object.keys(JSON.parse(last.toString('utf8'))), [
      'event',
      'id',
      'kind',
      'log',
      'reason',
      'successor',
      't',
      'v',
    ]);
  }
});

test('an open road is closed in the log of its decision before that ends, and without it nothing ends', async () => {
  await using site = testSite();
  const first = await site.open();
  const keys = newRoad(first);
  await first.appendRoad(keys, decision(first, keys));
  await assert.rejects(first.end({ id: 'o_1', reason: 'scheduled', successor: null }), {
    code: 'ledger.road_open',
  });
  await site.close();
  await assert.rejects(site.rotate(SCHEDULED), { code: 'ledger.road_open' });
  const rotation = await site.rotate({
    ...SCHEDULED,
    settle: async (ledger) => {
      for (const { rid, index: of } of await ledger.unfinished())
        await ledger.appendRecovered(outcome(ledger, keys, { of, rid, status: 'unknown' }));
    },
  });
  const second = await site.open();
  assert.equal(idOf(rotation.ended), first.logId, 'the attempt before left nothing behind');
  const receipt = await second.receipt(keys.rid);
  assert.equal(receipt?.state, 'closed');
  assert.equal(receipt.origin, first.origin);
  assert.equal(await verdictOf(receipt, [first.vkey]), 'valid');
});

test('a log that has ended takes no leaf, in the process that ended it and in the next', async () => {
  await using site = testSite();
  const first = await site.open();
  await first.end({ id: 'o_1', reason: 'scheduled', successor: null });
  const keys = newRoad(first);
  await assert.rejects(first.appendRoad(keys, decision(first, keys)), { code: 'ledger.ended' });
  await assert.rejects(first.appendSite({ kind: 'control', id: 'c_1' }), { code: 'ledger.ended' });
  assert.equal(first.size(), 1);
  await site.close();
  await assert.rejects(site.open(), { code: 'ledger.ended' }, 'no key was made for a successor');
});

test('a kept key is a copy of the old one, mode 0600', async () => {
  await using site = testSite();
  const { vkey, logId } = await site.open();
  await site.close();
  const { kept } = await site.rotate({ ...SCHEDULED, keepKey: true });
  assert.equal(kept, join(site.top, 'data', 'keys', `ledger-log.${logId}.kept.key`));
  const signer = parseSigner(readFileSync(kept, 'utf8'));
  assert.equal(`${signer.vkey.name}+${signer.vkey.id}`, vkey.split('+').slice(0, 2).join('+'));
});

test('keys may lie in a folder of their own, also across a rotation', async () => {
  await using site = testSite();
  const keysDir = join(site.top, 'store');
  const first = await site.open({ keysDir });
  const { rid } = await wholeRoad(first);
  await site.close();
  await site.rotate(SCHEDULED, { keysDir });
  const second = await site.open({ keysDir });
  assert.notEqual(second.logId, first.logId);
  assert.equal(Object.keys((await second.opening(rid)) ?? {}).length, 3);
  assert.deepEqual(readdirSync(keysDir).sort(), ['ledger-log.key', 'ledger-master.key']);
  assert.equal(existsSync(join(site.top, 'data', 'keys')), false);
});

test('a start refuses a key that others may read, and logs without a key', async () => {
  await using site = testSite();
  await wholeRoad(await site.open());
  await site.close();
  const keys = join(site.top, 'data', 'keys');
  for (const name of ['ledger-log.key', 'ledger-master.key']) {
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(join(keys, name), mode);
      await assert.rejects(site.open(), { code: 'ledger.open_key' }, `${name} ${mode.toString(8)}`);
    }
    chmodSync(join(keys, name), 0o400);
    await site.open();
    await site.close();
    chmodSync(join(keys, name), 0o600);
  }
  const before = readdirSync(site.dir);
  await assert.rejects(site.open({ keysDir: join(site.top, 'not-mounted') }), { code: 'ledger.key_missing' });
  assert.deepEqual(readdirSync(site.dir), before, 'no second log was begun');
});

test('an index that was lost is made anew for ended logs too', async () => {
  await using site = testSite();
  const road = await wholeRoad(await site.open());
  await site.close();
  await site.rotate(SCHEDULED);
  for (const name of readdirSync(join(site.top, 'data')))
    if (name.startsWith('sekisho.db')) writeFileSync(join(site.top, 'data', name), '');
  const ledger = await site.open();
  assert.equal((await ledger.receipt(road.rid))?.state, 'closed');
});

test('a start refuses when the anchor saw the replaced key sign after the end', async () => {
  await using site = testSite();
  await wholeRoad(await site.open());
  await site.close();
  const { kept, ended } = await site.rotate({ ...SCHEDULED, keepKey: true });
  const signer = parseSigner(readFileSync(kept ?? '', 'utf8'));
  {
    await using anchor = await openAnchor({ disk: realDisk, directory: site.anchorDir, key: signer.vkey });
    assert.equal(String(anchor.found?.size), ended.checkpoint.split('\n')[1]);
    await anchor.swap(signCheckpoint(signer, { size: 99, root: 'x'.repeat(32) }));
  }
  await assert.rejects(site.open(), { code: 'ledger.forked' });
});

async function leafAt(
  log: { tile(path: string): Promise<Buffer | null>; checkpoint(): Promise<string> } | undefined,
  index: number,
): Promise<Buffer> {
  const size = Number((await log?.checkpoint())?.split('\n')[1]);
  const bundle = (await log?.tile(`tile/entries/000.p/${size}`)) ?? assert.fail();
  return readBundle(bundle)?.[index] ?? assert.fail();
}

test('a rotation cut short by the disk never leaves two logs, and the next start is whole', async (t) => {
  const { operations, cuts } = await survivesPowerCuts(8);
  t.diagnostic(`cut ${cuts} times in ${operations} operations`);
});
