import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';

import { jsonLog } from '../core/log.ts';
import { Secret } from '../core/secret.ts';
import { randomIds, systemWorld, type World } from '../core/world.ts';
import { openDatabase } from '../storage/database.ts';
import { openIdentity, type Identity } from './identity.ts';
import type { Role } from './types.ts';

const START = 1_700_000_000_000;

interface Site {
  readonly dir: string;
  readonly logged: string[];
  now: number;
}

function newSite(t: TestContext): Site {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-identity-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { dir, logged: [], now: START };
}

async function open(t: TestContext, site: Site, adminKey: string | null = null): Promise<Identity> {
  const system = systemWorld();
  const clock = { ...system.clock, now: () => site.now };
  const world: World = { clock, random: system.random, ids: randomIds(system.random) };
  const database = await openDatabase({ url: 'sqlite', dir: site.dir });
  t.after(() => database[Symbol.asyncDispose]());
  return openIdentity({
    database,
    world,
    adminKey: adminKey === null ? null : new Secret(adminKey),
    dataDir: site.dir,
    log: jsonLog(clock, (line) => site.logged.push(line)),
  });
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const adminKeyOf = (site: Site): string => readFileSync(path.join(site.dir, 'admin-key'), 'utf8').trim();

async function callerKey(
  identity: Identity,
  roles: readonly Role[] = ['caller'],
  expires: number | null = null,
) {
  const [tenant] = await identity.listTenants();
  assert.ok(tenant !== undefined);
  const { key, facts } = await identity.createKey({ tenant: tenant.id, name: 'app', roles, expires });
  return { key: key.reveal(), facts };
}

test('the first start makes the organisation default and an admin key that only its owner can read', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  assert.equal(identity.adminKeyPath, path.join(site.dir, 'admin-key'));
  assert.equal(statSync(identity.adminKeyPath).mode & 0o777, 0o600);
  const key = adminKeyOf(site);
  assert.match(key, /^sek_[0-9a-hjkmnp-tv-z]{52}$/);
  const caller = identity.authenticate(bearer(key));
  assert.deepEqual(caller?.roles, ['admin', 'operator', 'auditor', 'caller']);
  const tenants = await identity.listTenants();
  assert.deepEqual(
    tenants.map((tenant) => tenant.name),
    ['default'],
  );
  assert.equal(caller?.tenant, tenants[0]?.id);
  assert.ok(!site.logged.join('').includes(key));
});

test('a second start keeps key, organisation and ids', async (t) => {
  const site = newSite(t);
  const first = (await open(t, site)).authenticate(bearer(adminKeyOf(site)));
  const again = await open(t, site);
  assert.deepEqual(again.authenticate(bearer(adminKeyOf(site))), first);
  assert.equal((await again.listKeys()).length, 1);
  assert.equal((await again.listTenants()).length, 1);
});

test('a start that died after writing the key file is completed by the next', async (t) => {
  const site = newSite(t);
  await open(t, site);
  const key = adminKeyOf(site);
  for (const name of readdirSync(site.dir)) {
    if (name.startsWith('sekisho.db')) rmSync(path.join(site.dir, name));
  }
  assert.ok((await open(t, site)).authenticate(bearer(key))?.roles.includes('admin'));
  assert.equal(adminKeyOf(site), key);
});

test('a key file that others may read, a link, or a file without a key is refused', async (t) => {
  const planted = [
    (file: string) => {
      writeFileSync(file, `sek_${'0'.repeat(52)}\n`, { mode: 0o600 });
      chmodSync(file, 0o644);
    },
    (file: string) => symlinkSync('/etc/hostname', file),
    (file: string) => writeFileSync(file, 'letmein', { mode: 0o600 }),
    (file: string) => writeFileSync(file, '', { mode: 0o600 }),
  ];
  for (const plant of planted) {
    const site = newSite(t);
    plant(path.join(site.dir, 'admin-key'));
    await assert.rejects(open(t, site), { code: 'identity.admin_key_file' });
  }
});

test('SEKISHO_ADMIN_KEY takes the place of the file, and counts only while it is set', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site, 'the-key-of-the-operator');
  assert.equal(identity.adminKeyPath, null);
  assert.ok(!existsSync(path.join(site.dir, 'admin-key')));
  assert.ok(identity.authenticate(bearer('the-key-of-the-operator'))?.roles.includes('admin'));
  assert.match(site.logged.join(''), /weak_admin_key/);
  const rotated = await open(t, site, 'another-key-of-the-operator');
  assert.equal(rotated.authenticate(bearer('the-key-of-the-operator')), null);
  assert.ok(rotated.authenticate(bearer('another-key-of-the-operator')));
  const back = await open(t, site, 'the-key-of-the-operator');
  assert.ok(back.authenticate(bearer('the-key-of-the-operator')));
  const without = await open(t, site);
  assert.equal(without.authenticate(bearer('the-key-of-the-operator')), null);
  assert.ok(without.authenticate(bearer(adminKeyOf(site)))?.roles.includes('admin'));
});

test('an administrator key that no header can carry is refused', async (t) => {
  for (const key of ['with space', 'kéy', 'line\nbreak'])
    await assert.rejects(open(t, newSite(t), key), { code: 'identity.invalid' });
});

test('a key is stored as its SHA-256 and nowhere else', async (t) => {
  const site = newSite(t);
  const { key } = await callerKey(await open(t, site));
  const stored = readdirSync(site.dir)
    .filter((name) => name.startsWith('sekisho.db'))
    .map((name) => readFileSync(path.join(site.dir, name)).toString('latin1'))
    .join('');
  assert.ok(!stored.includes(key) && !stored.includes(adminKeyOf(site)));
  assert.ok(stored.includes(createHash('sha256').update(key).digest('hex')));
  assert.ok(!site.logged.join('').includes(key));
});

test('a key works at once, after a restart, and not after its revocation', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  const { key, facts } = await callerKey(identity);
  assert.deepEqual(identity.authenticate(bearer(key)), {
    id: facts.id,
    tenant: facts.tenant,
    roles: ['caller'],
  });
  assert.equal(identity.authenticate(bearer(key)), identity.authenticate(bearer(key)));
  assert.ok((await open(t, site)).authenticate(bearer(key)));
  assert.equal((await identity.revokeKey(facts.id)).revoked, site.now);
  assert.equal(identity.authenticate(bearer(key)), null);
  assert.equal((await open(t, site)).authenticate(bearer(key)), null);
  assert.equal((await identity.revokeKey(facts.id)).id, facts.id);
  await assert.rejects(identity.revokeKey('k_absent'), { code: 'identity.unknown_key' });
});

test('a key works until its expiry and not from it on', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  const { key } = await callerKey(identity, ['caller'], START + 1000);
  site.now = START + 999;
  assert.ok(identity.authenticate(bearer(key)));
  site.now = START + 1000;
  assert.equal(identity.authenticate(bearer(key)), null);
});

test('a change by another process counts after a refresh', async (t) => {
  const site = newSite(t);
  const [one, other] = [await open(t, site), await open(t, site)];
  const { key } = await callerKey(one);
  assert.equal(other.authenticate(bearer(key)), null);
  await other.refresh();
  assert.ok(other.authenticate(bearer(key)));
});

test('the last key that administers the site cannot be revoked', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  const admin = identity.authenticate(bearer(adminKeyOf(site)));
  assert.ok(admin !== null);
  await callerKey(identity, ['admin'], START + 10);
  site.now = START + 10;
  await assert.rejects(identity.revokeKey(admin.id), { code: 'identity.last_admin' });
  await callerKey(identity, ['admin']);
  await identity.revokeKey(admin.id);
  assert.equal(identity.authenticate(bearer(adminKeyOf(site))), null);
});

test('of concurrent revocations of the last two administrators one is refused', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  const admin = identity.authenticate(bearer(adminKeyOf(site)));
  const { facts } = await callerKey(identity, ['admin']);
  const results = await Promise.allSettled([
    identity.revokeKey(admin?.id ?? ''),
    identity.revokeKey(facts.id),
  ]);
  assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected']);
});

test('the credential comes by any accepted header, and by one only', async (t) => {
  const site = newSite(t);
  const identity = await open(t, site);
  const { key } = await callerKey(identity);
  const { key: other } = await callerKey(identity);
  const accepted = [
    { authorization: `bearer ${key}` },
    { 'api-key': key },
    { authorization: `Bearer ${key}`, 'api-key': key },
    { authorization: [`Bearer ${key}`, `Bearer ${key}`] },
    { authorization: `Bearer ${key}`, 'x-api-key': other },
  ];
  for (const headers of accepted) assert.ok(identity.authenticate(headers), JSON.stringify(headers));
  assert.ok(identity.authenticate({ 'x-api-key': key }, { anthropic: true }));
  const refused = [
    {},
    { 'x-api-key': key },
    { authorization: `Bearer ${key}`, 'api-key': other },
    { authorization: [`Bearer ${key}`, `Bearer ${other}`] },
    { authorization: `Basic ${key}`, 'api-key': key },
    { authorization: key },
    { authorization: 'Bearer ' },
    { authorization: `Bearer ${key} ` },
    { authorization: `Bearer ${key},${key}` },
    { authorization: `Bearer ${key.toUpperCase()}` },
    { authorization: `Bearer ${key.slice(0, -1)}` },
    { authorization: `Bearer ${'a'.repeat(1_000_000)}` },
    { 'api-key': '' },
    { cookie: `key=${key}` },
  ];
  for (const headers of refused)
    assert.equal(identity.authenticate(headers), null, JSON.stringify(headers).slice(0, 90));
  assert.equal(
    identity.authenticate({ authorization: `Bearer ${key}`, 'x-api-key': other }, { anthropic: true }),
    null,
  );
});

test('organisations have their own keys, and names are unique in composed form', async (t) => {
  const identity = await open(t, newSite(t));
  const bank = await identity.createTenant('さくら銀行が'.normalize('NFD'));
  assert.equal(bank.name, 'さくら銀行が'.normalize('NFC'));
  await assert.rejects(identity.createTenant('さくら銀行が'), { code: 'identity.name_taken' });
  const order = {
    tenant: bank.id,
    name: 'app',
    roles: ['caller', 'owner', 'caller'] as const,
    expires: null,
  };
  const { key, facts } = await identity.createKey(order);
  assert.deepEqual(facts.roles, ['owner', 'caller']);
  assert.equal(identity.authenticate(bearer(key.reveal()))?.tenant, bank.id);
  const listed = await identity.listKeys();
  assert.deepEqual(
    listed.filter(({ tenant }) => tenant === bank.id),
    [facts],
  );
  assert.equal(listed.length, 2);
});

test('orders that make no sense are refused by name', async (t) => {
  const identity = await open(t, newSite(t));
  const [tenant] = await identity.listTenants();
  const order = { tenant: tenant?.id ?? '', name: 'app', roles: ['caller'] as const, expires: null };
  await assert.rejects(identity.createKey({ ...order, tenant: 'o_absent' }), {
    code: 'identity.unknown_tenant',
  });
  await assert.rejects(identity.createKey({ ...order, roles: [] }), { message: /roles/ });
  await assert.rejects(identity.createKey({ ...order, expires: START }), { message: /expires/ });
  await assert.rejects(identity.createKey({ ...order, expires: Number.NaN }), { message: /expires/ });
  for (const name of ['', ' ', ' a', 'a\n', 'a\u202eb', 'x'.repeat(65), '\ud800'])
    await assert.rejects(identity.createKey({ ...order, name }), { message: /name/ }, JSON.stringify(name));
});
