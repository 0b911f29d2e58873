import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decision, newRoad, testSite } from '../../test/support/ledger-site.ts';
import type { RouteReply } from '../core/route.ts';
import { getTile } from './contract.ts';
import { ledgerRoutes } from './routes.ts';
import type { Ledger } from './types.ts';

test('the public tile route gives hashes and never entries, whatever stands in its parameter', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  await ledger.appendRoad(keys, decision(ledger, keys));
  assert.notEqual(await ledger.receipt(keys.rid), null, 'a checkpoint covers the leaf');
  const hashes = await publicTile(ledger, '0/000.p/1');
  assert.equal(hashes.content?.bytes.length, 32);
  assert.notEqual(await ledger.tile('tile/entries/000.p/1'), null, 'the bundle is there');
  for (const rest of ['entries/000.p/1', '/entries/000.p/1', '0/../entries/000.p/1', '']) {
    await assert.rejects(publicTile(ledger, rest), { code: 'ledger.no_tile' }, rest);
  }
});

async function publicTile(ledger: Ledger, rest: string): Promise<RouteReply> {
  const bound = ledgerRoutes(ledger).find(({ route }) => route === getTile);
  assert.ok(bound !== undefined);
  return bound.handle({
    params: { log: ledger.logId, rest },
    query: {},
    body: undefined,
    caller: null,
    header: () => null,
    signal: AbortSignal.timeout(1000),
  });
}
