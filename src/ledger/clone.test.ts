import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { siteAt, testSite, wholeRoad } from '../../test/support/ledger-site.ts';

const copyOf = (top: string): string => {
  const copy = mkdtempSync(join(tmpdir(), 'sekisho-clone-'));
  cpSync(top, copy, { recursive: true });
  return copy;
};

test('a copy of data and anchor together is refused before it signs, and goes on once its owner adopts it', async () => {
  await using site = testSite();
  await wholeRoad(await site.open());
  await site.close();
  await using clone = siteAt(copyOf(site.top));
  await assert.rejects(clone.open(), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ledger.cloned');
    assert.match(error.message, /sekisho ledger adopt-machine/);
    return true;
  });
  await wholeRoad(await site.open());
  await site.close();

  const adopted = await clone.open({ adoptMachine: true });
  await wholeRoad(adopted);
  await clone.close();
  await wholeRoad(await clone.open());
});

test('the same files on another machine are refused; where no machine is known the files alone tell', async () => {
  await using site = testSite();
  await wholeRoad(await site.open({ machine: 'one' }));
  await site.close();
  await assert.rejects(site.open({ machine: 'other' }), { code: 'ledger.cloned' });
  await wholeRoad(await site.open({ machine: null }));
  await site.close();
  await site.open({ machine: 'one', adoptMachine: true });
});

test('data that was copied, beside its own anchor, goes on: the anchor tells whether it is the newest', async () => {
  await using site = testSite();
  await wholeRoad(await site.open({ machine: 'one' }));
  await site.close();
  const data = join(site.top, 'data');
  const [copy, older] = [join(site.top, 'copy'), join(site.top, 'older')];
  cpSync(data, older, { recursive: true });
  cpSync(data, copy, { recursive: true });
  rmSync(data, { recursive: true });
  renameSync(copy, data);
  await wholeRoad(await site.open({ machine: 'one' }));
  await site.close();
  rmSync(data, { recursive: true });
  renameSync(older, data);
  await assert.rejects(site.open({ machine: 'one' }), { code: 'ledger.rolled_back' });
  await assert.rejects(site.open({ machine: 'one', adoptMachine: true }), { code: 'ledger.rolled_back' });
});
