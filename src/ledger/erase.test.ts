import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  decision,
  diskError,
  newRoad,
  outcome,
  OWNER,
  plantedDisk,
  testSite,
  wholeRoad,
} from '../../test/support/ledger-site.ts';
import { systemWorld } from '../core/world.ts';
import { SLOT_BYTES } from './slots.ts';
import { verifyReceipt } from './verify/verify.ts';

const BODIES = { request: Buffer.from('the request'), response: Buffer.from('the answer') };

/** Every file below `top` that holds these bytes. */
function holders(top: string, bytes: Buffer): string[] {
  const entries = readdirSync(top, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return files.filter((file) => readFileSync(file).includes(bytes));
}

/** The wrapped keys in every slot of this road. */
function wrappedKeys(top: string, rid: string): Buffer[] {
  const [file = ''] = holders(top, Buffer.from('SKR1')).filter((path) => path.endsWith('roads'));
  const bytes = readFileSync(file);
  const slots = Array.from({ length: bytes.length / SLOT_BYTES }, (_, slot) =>
    bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES),
  );
  return slots.filter((slot) => slot.includes(rid)).map((slot) => slot.subarray(12, 72));
}

test('an erased road has its receipt and nothing that opens it; one that was held before verifies on', async () => {
  await using site = testSite();
  let ledger = await site.open();
  const { rid } = await wholeRoad(ledger);
  const other = await wholeRoad(ledger);
  const [wrapped = Buffer.alloc(0)] = wrappedKeys(site.top, rid);
  assert.equal(holders(site.top, wrapped).length, 1);
  const held = Buffer.from(
    JSON.stringify({ ...(await ledger.receipt(rid)), open: await ledger.opening(rid) }),
  );

  await ledger.erase(rid);
  await ledger.erase(rid);
  assert.deepEqual(holders(site.top, wrapped), []);
  for (let opened = 0; opened < 2; opened++) {
    const receipt = await ledger.receipt(rid);
    assert.equal(receipt?.erased, true);
    assert.deepEqual(await ledger.opening(rid), {});
    assert.deepEqual(await ledger.owner(rid), { tenant: OWNER.tenant, caller: '' });
    const keys = { vkeys: [ledger.vkey] };
    assert.equal((await verifyReceipt(Buffer.from(JSON.stringify(receipt)), keys)).verdict, 'valid');
    assert.equal((await verifyReceipt(held, keys, BODIES)).verdict, 'valid');
    const { erased } = (await ledger.receipt(other.rid)) ?? assert.fail();
    assert.equal(erased, undefined);
    assert.notDeepEqual(await ledger.opening(other.rid), {});
    await site.close();
    ledger = await site.open();
  }
});

test('a road that has not ended, and one that does not exist, are not erased', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  await assert.rejects(ledger.erase(keys.rid), { code: 'ledger.no_receipt' });
  const of = await ledger.appendRoad(keys, decision(ledger, keys));
  await assert.rejects(ledger.erase(keys.rid), { kind: 'conflict', code: 'ledger.road_open' });
  assert.notDeepEqual(await ledger.opening(keys.rid), {});
  await assert.rejects(ledger.erase(systemWorld().ids.receipt()), { code: 'ledger.no_receipt' });
  await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
  await ledger.erase(keys.rid);
});

test('a key that was stored twice, since the disk had refused, is overwritten in both slots', async () => {
  await using site = testSite();
  let refuses = false;
  const io = plantedDisk((operation, path) => {
    if (operation === 'datasync' && path.endsWith('roads') && refuses) throw diskError('EIO');
  });
  const ledger = await site.open({ io });
  await wholeRoad(ledger);
  refuses = true;
  const keys = newRoad(ledger);
  await assert.rejects(ledger.appendRoad(keys, decision(ledger, keys)));
  refuses = false;
  const until = Date.now() + 10_000;
  while (ledger.trouble() !== null && Date.now() < until) await systemWorld().clock.sleep(20);
  const of = await ledger.appendRoad(keys, decision(ledger, keys));
  await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
  const wrapped = wrappedKeys(site.top, keys.rid);
  assert.ok(wrapped.length >= 2, `${wrapped.length} slots hold the key`);
  await ledger.erase(keys.rid);
  assert.deepEqual(
    wrapped.flatMap((bytes) => holders(site.top, bytes)),
    [],
  );
});

test('an overwriting that the disk refuses is not called done, and may be asked for again', async () => {
  await using site = testSite();
  let refuses = false;
  const io = plantedDisk((operation, path) => {
    if (operation === 'datasync' && path.endsWith('roads') && refuses) throw diskError('EIO');
  });
  const ledger = await site.open({ io });
  const { rid } = await wholeRoad(ledger);
  refuses = true;
  await assert.rejects(ledger.erase(rid), { kind: 'unavailable', code: 'ledger.unavailable' });
  refuses = false;
  await ledger.erase(rid);
  assert.equal((await ledger.receipt(rid))?.erased, true);
});
