import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';

import { HOUR } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import { jsonLog } from '../core/log.ts';
import { randomIds, systemWorld, type World } from '../core/world.ts';
import { openDatabase } from '../storage/database.ts';
import { openOutbox } from '../storage/outbox.ts';
import type { ApprovalLeaf } from './approval.ts';
import { openApprovals, type ApprovalOrder, type Approvals } from './approvals.ts';
import { openIdentity, type Identity } from './identity.ts';
import type { Caller, Role } from './types.ts';

const START = 1_700_000_000_000;
const TERMS = { role: 'owner', hours: 8 } as const;

interface Desk {
  readonly dir: string;
  readonly leaves: ApprovalLeaf[];
  readonly logged: string[];
  now: number;
  /** The log takes no leaf while this is true. */
  failing: boolean;
}

interface Open {
  readonly identity: Identity;
  readonly approvals: Approvals;
  close(): Promise<void>;
}

function newDesk(t: TestContext): Desk {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-approvals-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { dir, leaves: [], logged: [], now: START, failing: false };
}

async function open(t: TestContext, desk: Desk): Promise<Open> {
  const system = systemWorld();
  const clock = { ...system.clock, now: () => desk.now };
  const world: World = { clock, random: system.random, ids: randomIds(system.random) };
  const database = await openDatabase({ url: 'sqlite', dir: desk.dir });
  const close = async (): Promise<void> => database[Symbol.asyncDispose]();
  t.after(close);
  const log = jsonLog(clock, (line) => desk.logged.push(line));
  const identity = await openIdentity({ database, world, adminKey: null, dataDir: desk.dir, log });
  const outbox = await openOutbox<ApprovalLeaf>(database, {
    size: () => desk.leaves.length,
    async append(leaf) {
      if (desk.failing) throw new Fault('unavailable', 'ledger.unavailable', 'planted');
      return desk.leaves.push(leaf) - 1;
    },
    async find(id, from) {
      const index = desk.leaves.findIndex((leaf, at) => at >= from && leaf.id === id);
      return index === -1 ? null : index;
    },
  });
  await outbox.pump();
  const approvals = await openApprovals({ database, outbox, identity, world, log });
  return { identity, approvals, close };
}

async function keyOf(identity: Identity, roles: readonly Role[], tenant?: string): Promise<Caller> {
  const [first] = await identity.listTenants();
  assert.ok(first !== undefined);
  const order = { tenant: tenant ?? first.id, name: roles.join(' '), roles, expires: null };
  const { facts } = await identity.createKey(order);
  return { id: facts.id, tenant: facts.tenant, roles: facts.roles };
}

function orderFor(target: ApprovalOrder['for'], change: Partial<ApprovalOrder> = {}): ApprovalOrder {
  return { purpose: 'care', terms: TERMS, for: target, hours: null, reason: null, ...change };
}

function asks(desk: Desk, approvals: Approvals, caller: Caller, terms: ApprovalOrder['terms'] = TERMS) {
  assert.ok(terms !== null);
  return approvals.holds({ caller, purpose: 'care', terms, now: desk.now });
}

test('an approval carries its key from its leaf on until it expires, and nobody else', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const [owner, user, other] = [
    await keyOf(identity, ['owner']),
    await keyOf(identity, ['caller']),
    await keyOf(identity, ['caller']),
  ];
  assert.equal(asks(desk, approvals, user), false);
  const given = await approvals.give(
    owner,
    orderFor({ caller: user.id }, { hours: 2, reason: '山田 ward 3' }),
  );
  assert.equal(given.until, START + 2 * HOUR);
  assert.equal(asks(desk, approvals, user), true);
  assert.equal(asks(desk, approvals, other), false);
  assert.equal(approvals.holds({ caller: user, purpose: 'tax', terms: TERMS, now: desk.now }), false);
  desk.now = START + 2 * HOUR - 1;
  assert.equal(asks(desk, approvals, user), true);
  desk.now += 1;
  assert.equal(asks(desk, approvals, user), false);
  assert.deepEqual(await approvals.list(owner, { all: false }), []);
  const [expired] = await approvals.list(owner, { all: true });
  assert.deepEqual(expired, { ...given, state: 'expired' });
});

test('the leaf of an approval has the members of its closed schema, and not the reason', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const [owner, user] = [await keyOf(identity, ['owner']), await keyOf(identity, ['caller'])];
  const order = orderFor({ caller: user.id }, { reason: 'CNRY' });
  const { id, until } = await approvals.give(owner, order);
  await approvals.revoke(id, owner);
  const [given, revoked] = desk.leaves.map(({ id: leaf, ...rest }) => {
    assert.match(leaf, /^c_[0-9a-z]{26}$/);
    return rest;
  });
  assert.deepEqual(given, {
    kind: 'control',
    event: 'approval',
    approval: id,
    purpose: 'care',
    role: 'owner',
    by: owner.id,
    tenant: user.tenant,
    caller: user.id,
    until,
  });
  const taken = { kind: 'control', event: 'approval-revoked', approval: id, by: owner.id };
  assert.deepEqual(revoked, taken);
  assert.doesNotMatch(desk.logged.join(), /CNRY/);
});

test('an approval for an organisation carries every key of it but the one that gave it', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const owner = await keyOf(identity, ['owner', 'caller']);
  const user = await keyOf(identity, ['caller']);
  const elsewhere = await keyOf(identity, ['caller'], (await identity.createTenant('else')).id);
  await approvals.give(owner, orderFor({ tenant: owner.tenant }));
  assert.deepEqual(
    [user, owner, elsewhere].map((caller) => asks(desk, approvals, caller)),
    [true, false, false],
  );
});

test('what a bundle asks for today judges what was given before', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const [owner, user] = [await keyOf(identity, ['owner']), await keyOf(identity, ['caller'])];
  await approvals.give(owner, orderFor({ caller: user.id }));
  desk.now += 2 * HOUR;
  assert.equal(asks(desk, approvals, user), true);
  assert.equal(asks(desk, approvals, user, { role: 'auditor', hours: 8 }), false);
  assert.equal(asks(desk, approvals, user, { role: 'owner', hours: 2 }), false);
  assert.equal(asks(desk, approvals, user, { role: 'owner', hours: 3 }), true);
});

test('nobody approves without the role, for themselves, too long, or for what is not there', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const owner = await keyOf(identity, ['owner', 'caller']);
  const user = await keyOf(identity, ['caller']);
  const everythingElse = await keyOf(identity, ['admin', 'operator', 'policy-signer', 'auditor', 'caller']);
  const elsewhere = await identity.createTenant('else');
  const foreign = await keyOf(identity, ['caller'], elsewhere.id);
  const gone = await keyOf(identity, ['caller']);
  await identity.revokeKey(gone.id);
  const forUser = { caller: user.id };
  const cases: readonly (readonly [code: string, giver: Caller, order: ApprovalOrder])[] = [
    ['identity.role_needed', everythingElse, orderFor(forUser)],
    ['identity.role_needed', user, orderFor({ tenant: user.tenant })],
    // Without the role one does not even learn which keys there are.
    ['identity.role_needed', user, orderFor({ caller: 'k_unknown' })],
    ['identity.four_eyes', owner, orderFor({ caller: owner.id })],
    ['identity.other_organisation', owner, orderFor({ caller: foreign.id })],
    ['identity.other_organisation', owner, orderFor({ tenant: elsewhere.id })],
    ['identity.no_approval', owner, orderFor(forUser, { terms: null })],
    ['identity.unknown_key', owner, orderFor({ caller: 'k_unknown' })],
    ['identity.unknown_key', owner, orderFor({ caller: gone.id })],
    ['identity.unknown_tenant', owner, orderFor({ tenant: 'o_unknown' })],
    ...[0, 9, 1.5, Number.NaN, -1].map(
      (hours) => ['identity.invalid', owner, orderFor(forUser, { hours })] as const,
    ),
    ...['', 'a\nb', 'x'.repeat(257), '\ud800', 'a\u202eb'].map(
      (reason) => ['identity.invalid', owner, orderFor(forUser, { reason })] as const,
    ),
  ];
  for (const [code, giver, order] of cases)
    await assert.rejects(approvals.give(giver, order), { code }, JSON.stringify(order));
  assert.deepEqual(desk.leaves, []);
  assert.deepEqual(await approvals.list(everythingElse, { all: true }), []);
});

test('an approval is taken back at once by its role or an admin, once, and stays so', async (t) => {
  const desk = newDesk(t);
  const first = await open(t, desk);
  const { identity, approvals } = first;
  const [owner, admin, auditor] = [
    await keyOf(identity, ['owner']),
    await keyOf(identity, ['admin']),
    await keyOf(identity, ['auditor']),
  ];
  const user = await keyOf(identity, ['caller']);
  const one = await approvals.give(owner, orderFor({ caller: user.id }));
  const two = await approvals.give(owner, orderFor({ tenant: user.tenant }));
  for (const by of [auditor, user])
    await assert.rejects(approvals.revoke(one.id, by), { code: 'identity.role_needed' });
  await assert.rejects(approvals.revoke('v_unknown', owner), { code: 'identity.unknown_approval' });
  assert.equal((await approvals.revoke(one.id, admin)).state, 'revoked');
  assert.equal(asks(desk, approvals, user), true, 'the other one still carries');
  desk.now += 1;
  const taken = await approvals.revoke(two.id, owner);
  assert.equal(asks(desk, approvals, user), false);
  desk.now += 1;
  assert.deepEqual(await approvals.revoke(two.id, owner), taken);
  assert.equal(desk.leaves.length, 4);
  await first.close();
  const again = await open(t, desk);
  assert.equal(asks(desk, again.approvals, user), false);
  assert.equal(desk.leaves.length, 4);
});

test('an approval outlives a restart', async (t) => {
  const desk = newDesk(t);
  const first = await open(t, desk);
  const owner = await keyOf(first.identity, ['owner']);
  const user = await keyOf(first.identity, ['caller']);
  await first.approvals.give(owner, orderFor({ caller: user.id }));
  await first.close();
  const again = await open(t, desk);
  assert.equal(asks(desk, again.approvals, user), true);
});

test('what the log does not take carries nobody; what is taken back stops although the log fails', async (t) => {
  const desk = newDesk(t);
  const first = await open(t, desk);
  const { identity, approvals } = first;
  const owner = await keyOf(identity, ['owner']);
  const [user, other] = [await keyOf(identity, ['caller']), await keyOf(identity, ['caller'])];
  const held = await approvals.give(owner, orderFor({ caller: other.id }));
  desk.failing = true;
  await assert.rejects(approvals.give(owner, orderFor({ caller: user.id })), { code: 'ledger.unavailable' });
  assert.equal(asks(desk, approvals, user), false);
  await assert.rejects(approvals.revoke(held.id, owner), { code: 'ledger.unavailable' });
  assert.equal(asks(desk, approvals, other), false);
  assert.equal(desk.leaves.length, 1);
  await first.close();
  desk.failing = false;
  const again = await open(t, desk);
  assert.deepEqual(
    desk.leaves.map(({ event }) => event),
    ['approval', 'approval', 'approval-revoked'],
  );
  assert.deepEqual(
    [user, other].map((caller) => asks(desk, again.approvals, caller)),
    [true, false],
  );
});

test('acts at the same time leave what their order says', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const owner = await keyOf(identity, ['owner']);
  const user = await keyOf(identity, ['caller']);
  const given = await Promise.all(
    Array.from({ length: 8 }, async () => approvals.give(owner, orderFor({ caller: user.id }))),
  );
  await Promise.all(given.map(async ({ id }) => approvals.revoke(id, owner)));
  assert.equal(asks(desk, approvals, user), false);
  assert.equal(desk.leaves.length, 16);
  assert.equal(new Set(desk.leaves.map(({ id }) => id)).size, 16);
});

test('a key sees the approvals of its site, its organisation or its own, by its role', async (t) => {
  const desk = newDesk(t);
  const { identity, approvals } = await open(t, desk);
  const owner = await keyOf(identity, ['owner']);
  const user = await keyOf(identity, ['caller']);
  const colleague = await keyOf(identity, ['caller']);
  const { id: tenant } = await identity.createTenant('else');
  const [stranger, otherOwner] = [
    await keyOf(identity, ['caller'], tenant),
    await keyOf(identity, ['owner'], tenant),
  ];
  const single = await approvals.give(owner, orderFor({ caller: user.id }));
  desk.now += 1;
  const all = await approvals.give(owner, orderFor({ tenant: user.tenant }));
  const seen = async (reader: Caller): Promise<string[]> =>
    (await approvals.list(reader, { all: false })).map(({ id }) => id);
  for (const role of ['admin', 'operator', 'policy-signer', 'auditor'] as const)
    assert.deepEqual(await seen(await keyOf(identity, [role], tenant)), [all.id, single.id], role);
  assert.deepEqual(await seen(owner), [all.id, single.id]);
  assert.deepEqual(await seen(user), [all.id, single.id]);
  assert.deepEqual(await seen(colleague), [all.id]);
  for (const reader of [stranger, otherOwner]) {
    assert.deepEqual(await seen(reader), []);
    // What one may not see does not exist, so that ids cannot be tried.
    await assert.rejects(approvals.revoke(single.id, reader), { code: 'identity.unknown_approval' });
  }
});
