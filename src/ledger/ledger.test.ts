import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';

import { systemWorld } from '../core/world.ts';
import {
  decision,
  newRoad,
  outcome,
  OWNER,
  steppedWorld,
  testSite,
  wholeRoad,
} from '../../test/support/ledger-site.ts';
import { checkLog } from './check.ts';
import { MAX_ENTRY_BYTES, type DecisionLeaf, type OutcomeLeaf } from './leaf.ts';
import { leafHash, rootFromPath } from './tree.ts';
import type { Ledger, Receipt } from './types.ts';
import { verifyReceipt } from './verify/index.ts';

async function verified(ledger: Ledger, receipt: Receipt | null): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(receipt));
  const verdict = await verifyReceipt(bytes, { vkeys: [ledger.vkey] });
  return `${verdict.exit} ${receipt?.state}`;
}

test('a receipt verifies offline, open after the decision and closed after the outcome', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  assert.equal(await ledger.receipt(keys.rid), null);
  const of = await ledger.appendRoad(keys, decision(ledger, keys));
  assert.equal(await verified(ledger, await ledger.receipt(keys.rid)), '0 open');
  await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
  const receipt = await ledger.receipt(keys.rid);
  assert.equal(await verified(ledger, receipt), '0 closed');
  assert.equal(receipt?.origin, ledger.origin);
  assert.match(ledger.origin, /^localhost\/test\/[0-9a-f]{8}$/);
  assert.equal(await ledger.receipt(systemWorld().ids.receipt()), null);
});

test('a denied road closes with its decision', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  await ledger.appendRoad(keys, decision(ledger, keys, { effect: 'deny', to: null }));
  assert.equal(await verified(ledger, await ledger.receipt(keys.rid)), '0 closed');
});

test('attempts stand in order, and appends of one turn keep theirs', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  const first = await ledger.appendRoad(keys, decision(ledger, keys));
  const [failed, second] = await Promise.all([
    ledger.appendRoad(keys, failedOutcome(ledger, keys, first)),
    ledger.appendRoad(keys, decision(ledger, keys, { attempt: 2, prev: first })),
  ]);
  assert.deepEqual([first, failed, second], [0, 1, 2]);
  await ledger.appendRoad(keys, outcome(ledger, keys, { of: second, attempt: 2, attempts: 2 }));
  const receipt = await ledger.receipt(keys.rid);
  assert.deepEqual(
    receipt?.attempts.map((attempt) => [attempt.decision.index, attempt.outcome?.index]),
    [
      [0, 1],
      [2, 3],
    ],
  );
  assert.equal(await verified(ledger, receipt), '0 closed');
});

function failedOutcome(ledger: Ledger, keys: ReturnType<typeof newRoad>, of: number): OutcomeLeaf {
  const failed = outcome(ledger, keys, { of, status: 'provider-error', c: { res: null, peer: null } });
  const { attempts: _, ...leaf } = failed;
  return leaf;
}

test('the opening keys open what the leaves commit to, and only what was committed', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const { rid } = await wholeRoad(ledger);
  const open = (await ledger.opening(rid)) ?? assert.fail();
  const receipt = (await ledger.receipt(rid)) ?? assert.fail();
  const leaf = JSON.parse(Buffer.from(receipt.attempts[0]?.decision.entry ?? '', 'base64').toString());
  const hmac = createHmac('sha256', Buffer.from(open.req ?? '', 'base64'));
  assert.equal(hmac.update('the request').digest('base64'), leaf.c.req);
  const denied = newRoad(ledger);
  await ledger.appendRoad(
    denied,
    decision(ledger, denied, { effect: 'deny', to: null, c: { ...leaf.c, req: null } }),
  );
  assert.deepEqual(Object.keys((await ledger.opening(denied.rid)) ?? {}), ['in']);
  assert.deepEqual(await ledger.owner(rid), OWNER);
  assert.equal(await ledger.owner(systemWorld().ids.receipt()), null);
  assert.equal(await ledger.opening(systemWorld().ids.receipt()), null);
});

test('a commitment over pieces is the one over the whole', async () => {
  await using site = testSite();
  const keys = newRoad(await site.open());
  const stream = keys.commitStream('res');
  for (const piece of ['the ', 'ans', 'wer']) stream.update(Buffer.from(piece));
  assert.equal(stream.digest(), keys.commit('res', 'the answer'));
  assert.notEqual(keys.commit('res', 'x'), keys.commit('req', 'x'));
});

test('a tlog-proof holds the entry and leads to its checkpoint', async () => {
  await using site = testSite();
  const ledger = await site.open();
  for (let i = 0; i < 5; i++) await wholeRoad(ledger);
  const road = await wholeRoad(ledger);
  const proof = (await ledger.proof(road.rid, { leaf: 'outcome', attempt: null })) ?? assert.fail();
  const at = proof.indexOf('\n\n') + 2;
  const [header, note] = [proof.slice(0, at), proof.slice(at)];
  const [magic, extra = '', index = '', ...path] = header.trimEnd().split('\n');
  assert.equal(magic, 'c2sp.org/tlog-proof@v1');
  assert.equal(index, `index ${road.outcome}`);
  const entry = Buffer.from(extra.replace('extra ', ''), 'base64');
  const [origin, size, root] = note.split('\n');
  assert.equal(origin, ledger.origin);
  const hashes = path.map((hash) => Buffer.from(hash, 'base64').toString('latin1'));
  const position = { index: road.outcome, size: Number(size) };
  assert.equal(
    Buffer.from(rootFromPath(leafHash(entry), position, hashes) ?? '', 'latin1').toString('base64'),
    root,
  );
  assert.equal(await ledger.proof(road.rid, { leaf: 'decision', attempt: 2 }), null);
});

test('waiting ends when the road closes, when the time is over and when the waiter leaves', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  const of = await ledger.appendRoad(keys, decision(ledger, keys));
  const { signal } = new AbortController();
  assert.equal(await ledger.waitClosed(keys.rid, 1, signal), false);
  const leaver = new AbortController();
  const left = ledger.waitClosed(keys.rid, 60_000, leaver.signal);
  leaver.abort();
  await assert.rejects(left, { name: 'AbortError' });
  const waiting = ledger.waitClosed(keys.rid, 60_000, signal);
  await ledger.appendRoad(keys, outcome(ledger, keys, { of }));
  assert.equal(await waiting, true);
  assert.equal(await ledger.waitClosed(keys.rid, 60_000, signal), true);
});

test('leaves of no road are found by their id, before and after a restart', async () => {
  await using site = testSite();
  let ledger = await site.open();
  await wholeRoad(ledger);
  const at = await ledger.appendSite({ kind: 'control', id: 'control_1', purpose: 'database' });
  assert.equal(await ledger.findSite('control_1', 0), at);
  assert.equal(await ledger.findSite('control_1', at + 1), null);
  await site.close();
  ledger = await site.open();
  assert.equal(await ledger.findSite('control_1', at), at);
  assert.equal(await ledger.findSite('control_2', 0), null);
});

test('refuses leaves that are too long, have no canonical form, are of another road or of foreign keys', async () => {
  await using site = testSite();
  const ledger = await site.open();
  const keys = newRoad(ledger);
  const append = (leaf: DecisionLeaf): Promise<number> => ledger.appendRoad(keys, leaf);
  await assert.rejects(append(decision(ledger, newRoad(ledger))), { code: 'ledger.bad_leaf' });
  const long = decision(ledger, keys, { model: 'm'.repeat(MAX_ENTRY_BYTES) });
  await assert.rejects(append(long), { code: 'ledger.leaf_too_long' });
  await assert.rejects(append(decision(ledger, keys, { t: 0.5 })), { code: 'core.not_canonical' });
  await assert.rejects(ledger.appendRoad({ ...keys }, decision(ledger, keys)), { code: 'ledger.bad_road' });
  const stranger = outcome(ledger, newRoad(ledger), { of: 0, rid: systemWorld().ids.receipt() });
  await assert.rejects(ledger.appendRecovered(stranger), { code: 'ledger.bad_leaf' });
  assert.equal(ledger.size(), 0);
  assert.throws(() => ledger.openRoad('../../x', OWNER), { code: 'ledger.bad_road' });
  assert.throws(() => ledger.openRoad(keys.rid, { tenant: 'x'.repeat(65), caller: 'x' }), {
    code: 'ledger.bad_road',
  });
  assert.equal(ledger.size(), 0);
});

test('serves tiles of the signed size only, and an auditor can check the log through them', async () => {
  await using site = testSite();
  const ledger = await site.open();
  for (let i = 0; i < 300; i++) void wholeRoad(ledger);
  const { rid } = await wholeRoad(ledger);
  const receipt = (await ledger.receipt(rid)) ?? assert.fail();
  const size = Number(receipt.checkpoint.split('\n')[1]);
  assert.ok(size > 512);
  const read = (path: string): Promise<Buffer | null> =>
    path === 'checkpoint' ? Promise.resolve(Buffer.from(receipt.checkpoint)) : ledger.tile(path);
  assert.deepEqual((await checkLog({ read }, ledger.vkey)).lines[0], 'valid');
  assert.equal((await ledger.tile('tile/0/000'))?.length, 256 * 32);
  assert.equal((await ledger.tile('tile/0/000.p/7'))?.length, 7 * 32);
  for (const path of [
    `tile/0/002.p/${size - 511}`,
    'tile/0/002',
    'tile/3/000',
    'tile/0/x000/000',
    'checkpoint',
    '',
  ])
    assert.equal(await ledger.tile(path), null, path);
});

test('a clock that steps back a little is smoothed, further back is refused until it has caught up', async () => {
  await using site = testSite();
  const world = steppedWorld(1_800_000_000_000);
  let ledger = await site.open({ world });
  await wholeRoad(ledger);
  world.advance(-5_000);
  assert.equal(ledger.time(), 1_800_000_000_000);
  await wholeRoad(ledger);
  world.advance(-1);
  assert.throws(() => ledger.time(), { code: 'ledger.clock_regression', kind: 'unavailable' });
  assert.match(ledger.trouble() ?? '', /5001 ms behind/);
  await site.close();
  ledger = await site.open({ world });
  const keys = newRoad(ledger);
  const late = { origin: ledger.origin, time: () => 1 };
  await assert.rejects(ledger.appendRoad(keys, decision(late, keys)), { code: 'ledger.clock_regression' });
  world.advance(1);
  await wholeRoad(ledger);
  assert.equal(ledger.trouble(), null);
});

test('a reading of a clock that leapt ahead for a moment binds no later leaf', async () => {
  await using site = testSite();
  const world = steppedWorld(1_800_000_000_000);
  const ledger = await site.open({ world });
  await wholeRoad(ledger);
  world.advance(3_600_000);
  assert.equal(ledger.time(), 1_800_003_600_000);
  world.advance(-3_600_000);
  assert.equal(ledger.trouble(), null);
  assert.equal(ledger.time(), 1_800_000_000_000);
  await wholeRoad(ledger);
});

test('20,000 leaves at 64 callers', async (t) => {
  await using site = testSite();
  const ledger = await site.open({ segmentBytes: 16 << 20 });
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const callers = Array.from({ length: 64 }, async () => {
    for (let i = 0; i < 157; i++) await wholeRoad(ledger);
  });
  await Promise.all(callers);
  const leaves = ledger.size();
  const { user, system } = process.cpuUsage(cpu);
  const perSecond = Math.round((leaves * 1000) / (performance.now() - begun));
  t.diagnostic(
    `${perSecond} durable leaves/s, ${Math.round((user + system) / leaves)} µs CPU a leaf, keys included`,
  );
  assert.equal(leaves, 64 * 157 * 2);
});
