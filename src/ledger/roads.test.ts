import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { DAY } from '../core/duration.ts';
import { systemWorld, type World } from '../core/world.ts';
import { diskError, OWNER, plantedDisk, steppedWorld } from '../../test/support/ledger-site.ts';
import { DayKeys } from './day-keys.ts';
import { realDisk, type Disk } from './disk.ts';
import { fieldKey, RoadFile } from './roads.ts';
import { SLOT_BYTES, SlotFile } from './slots.ts';
import { unwrapKey, wrapKey } from './wrap.ts';

const ids = systemWorld().ids;

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'sekisho-roads-'));
  readonly master = Buffer.alloc(32, 7);

  async roads(options: { world?: World; disk?: Disk; master?: Buffer } = {}): Promise<RoadFile> {
    const { world = systemWorld(), disk = realDisk, master = this.master } = options;
    const days = await DayKeys.open(disk, join(this.path, 'day-keys'), { master, world });
    return RoadFile.open(disk, join(this.path, 'roads'), { days, world });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

test('a stored request key opens what the road committed, also for the next process', async () => {
  using folder = new Folder();
  let roads = await folder.roads();
  const road = roads.openRoad(ids.receipt(), OWNER);
  await road.makeDurable();
  roads = await folder.roads();
  const record = (await roads.read(road.slot, road.rid)) ?? assert.fail();
  assert.deepEqual(record.owner, OWNER);
  const key = fieldKey(record.key ?? assert.fail(), 'in');
  assert.equal(road.commit('in', 'x'), hmac(key, 'x'));
  assert.equal(await roads.read(road.slot, ids.receipt()), null);
  assert.equal(await roads.read(road.slot + 1, road.rid), null);
});

function hmac(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64');
}

test('no key lies in the files as it is', async () => {
  using folder = new Folder();
  const roads = await folder.roads();
  const road = roads.openRoad(ids.receipt(), OWNER);
  await road.makeDurable();
  const { key } = (await roads.read(road.slot, road.rid)) ?? assert.fail();
  const day = roads.days.today(OWNER.tenant);
  for (const file of ['roads', 'day-keys']) {
    const bytes = readFileSync(join(folder.path, file));
    assert.ok(!bytes.includes(key ?? assert.fail()));
    assert.ok(!bytes.includes(day.key));
  }
});

test('without the day key, or without the master key, nothing opens', async () => {
  using folder = new Folder();
  let roads = await folder.roads();
  const road = roads.openRoad(ids.receipt(), OWNER);
  await road.makeDurable();
  roads = await folder.roads({ master: Buffer.alloc(32, 8) });
  assert.equal((await roads.read(road.slot, road.rid))?.key, null);
  const days = await SlotFile.open(realDisk, join(folder.path, 'day-keys'));
  await days.overwrite(roads.days.today(OWNER.tenant).slot - 1, Buffer.alloc(SLOT_BYTES, 1));
  roads = await folder.roads();
  assert.equal((await roads.read(road.slot, road.rid))?.key, null);
});

test('a tenant has one key a day, and another the next day', async () => {
  using folder = new Folder();
  const world = steppedWorld(20_000 * DAY);
  let roads = await folder.roads({ world });
  const first = roads.days.today('a');
  assert.equal(roads.days.today('a'), first);
  assert.notDeepEqual(roads.days.today('b').key, first.key);
  await Promise.all([first.durable, roads.days.today('b').durable]);
  roads = await folder.roads({ world });
  assert.deepEqual(roads.days.today('a').key, first.key);
  world.advance(DAY);
  assert.notDeepEqual(roads.days.today('a').key, first.key);
  assert.deepEqual(await roads.days.read(first.slot), first.key);
});

test('a slot whose sync failed is given up, and the key stored in another', async () => {
  using folder = new Folder();
  let fails = true;
  const disk = plantedDisk((did, path) => {
    if (fails && did === 'datasync' && path.endsWith('roads')) throw diskError('EIO');
  });
  const roads = await folder.roads({ disk });
  const road = roads.openRoad(ids.receipt(), OWNER);
  const first = road.slot;
  await assert.rejects(road.makeDurable(), { code: 'EIO' });
  assert.equal(road.isDurable, false);
  fails = false;
  await Promise.all([road.makeDurable(), road.makeDurable()]);
  assert.ok(road.slot > first);
  assert.equal((await (await folder.roads()).read(road.slot, road.rid))?.owner.tenant, OWNER.tenant);
});

test('the slots of one turn share a sync, and their file grows in steps', async () => {
  using folder = new Folder();
  let syncs = 0;
  const disk = plantedDisk((did, path) => {
    if (did === 'datasync' && path.endsWith('roads')) syncs += 1;
  });
  const roads = await folder.roads({ disk });
  const made = Array.from({ length: 3000 }, () => roads.openRoad(ids.receipt(), OWNER));
  await Promise.all(made.map((road) => road.makeDurable()));
  assert.ok(syncs <= 4, `${syncs} syncs`);
  assert.equal((await folder.roads()).next, 3000);
  let seen = 0;
  for await (const { slot, rid } of (await folder.roads()).scan(0)) {
    assert.equal(made[slot]?.rid, rid);
    seen += 1;
  }
  assert.equal(seen, 3000);
});

test('a damaged slot is as good as none', async () => {
  using folder = new Folder();
  const roads = await folder.roads();
  const road = roads.openRoad(ids.receipt(), OWNER);
  await road.makeDurable();
  const slots = await SlotFile.open(realDisk, join(folder.path, 'roads'));
  const bytes = (await slots.read(road.slot)) ?? assert.fail();
  for (const at of [0, 4, 20, 75, 110, 255]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    await slots.overwrite(road.slot, damaged);
    assert.equal(await roads.read(road.slot, road.rid), null, `byte ${at}`);
  }
});

test('a wrapped key opens for what it was wrapped for and nothing else', () => {
  const [key, wrapping, iv] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2), Buffer.alloc(12, 3)];
  const wrapped = wrapKey(key, wrapping, { about: 'a', iv });
  assert.deepEqual(unwrapKey(wrapped, wrapping, 'a'), key);
  assert.equal(unwrapKey(wrapped, wrapping, 'b'), null);
  assert.equal(unwrapKey(wrapped, key, 'a'), null);
});
