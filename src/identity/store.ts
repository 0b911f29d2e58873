import { sql, type Kysely, type Selectable } from 'kysely';
import type { Migration } from 'kysely/migration';

import { Fault } from '../core/fault.ts';
import type { Database } from '../storage/database.ts';
import type { Outbox } from '../storage/outbox.ts';
import type { ApprovalFacts, ApprovalLeaf } from './approval.ts';
import { ROLES, type KeyFacts, type KeyOrigin, type Role, type Tenant } from './types.ts';

interface Tables {
  tenant: { id: string; name: string; created: number };
  caller_key: {
    id: string;
    tenant: string;
    name: string;
    hash: string;
    roles: string;
    origin: KeyOrigin;
    created: number;
    expires: number | null;
    revoked: number | null;
  };
  approval: Omit<ApprovalFacts, 'state'>;
}

/** A key with the SHA-256 that recognises it, in hex. */
export interface StoredKey extends KeyFacts {
  readonly hash: string;
}

/** What the room keeps. Every promise that resolves speaks of durable state. */
export interface IdentityStore {
  tenants(): Promise<readonly Tenant[]>;
  /** @throws Fault `identity.name_taken` */
  addTenant(tenant: Tenant): Promise<void>;
  /** The tenant with that name; `tenant` is added when there is none. */
  ensureTenant(tenant: Tenant): Promise<Tenant>;
  keys(): Promise<readonly StoredKey[]>;
  /** @throws Fault `identity.unknown_tenant` */
  addKey(key: StoredKey): Promise<void>;
  /** Adds the key, or gives the one with its hash these roles and this origin and takes its revocation back. */
  enrolKey(key: StoredKey): Promise<void>;
  /** Sets the revocation of a key that has none, unless `guard`, given all keys, throws; null for an unknown id. */
  revoke(id: string, at: number, guard: (keys: readonly StoredKey[]) => void): Promise<StoredKey | null>;
}

export async function openIdentityStore(database: Database): Promise<IdentityStore> {
  await database.migrate('identity', MIGRATIONS);
  const db = database.tables<Tables>();
  return {
    tenants: () => db.selectFrom('tenant').selectAll().orderBy('name').execute(),
    addTenant: (tenant) => addTenant(db, tenant),
    ensureTenant: (tenant) => ensureTenant(db, tenant),
    keys: () => allKeys(db),
    addKey: (key) => addKey(db, key),
    async enrolKey(key) {
      await db
        .insertInto('caller_key')
        .values(toRow(key))
        .onConflict((c) =>
          c
            .column('hash')
            .doUpdateSet({ revoked: null, expires: null, origin: key.origin, roles: key.roles.join(',') }),
        )
        .execute();
    },
    revoke: (id, at, guard) => revoke(db, { id, at, guard }),
  };
}

const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-create': {
    async up(db: Kysely<unknown>) {
      await sql`create table tenant (id text primary key, name text not null unique, created bigint not null)`.execute(
        db,
      );
      await sql`create table caller_key (
        id text primary key,
        tenant text not null references tenant (id),
        name text not null,
        hash text not null unique,
        roles text not null,
        origin text not null,
        created bigint not null,
        expires bigint,
        revoked bigint
      )`.execute(db);
    },
  },
  '002-approvals': {
    async up(db: Kysely<unknown>) {
      await sql`create table approval (
        id text primary key,
        purpose text not null,
        role text not null,
        giver text not null,
        tenant text not null,
        caller text,
        reason text,
        created bigint not null,
        until bigint not null,
        revoked bigint
      )`.execute(db);
      await sql`create index approval_until on approval (until)`.execute(db);
    },
  },
};

async function addTenant(db: Kysely<Tables>, tenant: Tenant): Promise<void> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('tenant')
    .values(tenant)
    .onConflict((c) => c.column('name').doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 0n)
    throw new Fault('conflict', 'identity.name_taken', 'an organisation of this name exists');
}

async function ensureTenant(db: Kysely<Tables>, tenant: Tenant): Promise<Tenant> {
  await db
    .insertInto('tenant')
    .values(tenant)
    .onConflict((c) => c.column('name').doNothing())
    .execute();
  return db.selectFrom('tenant').selectAll().where('name', '=', tenant.name).executeTakeFirstOrThrow();
}

async function addKey(db: Kysely<Tables>, key: StoredKey): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const tenant = await tx.selectFrom('tenant').select('id').where('id', '=', key.tenant).executeTakeFirst();
    if (tenant === undefined)
      throw new Fault(
        'missing',
        'identity.unknown_tenant',
        'expected the id of an organisation of this site',
      );
    await tx.insertInto('caller_key').values(toRow(key)).execute();
  });
}

async function allKeys(db: Kysely<Tables>): Promise<readonly StoredKey[]> {
  const rows = await db.selectFrom('caller_key').selectAll().orderBy('created').orderBy('id').execute();
  return rows.map(fromRow);
}

interface Revocation {
  readonly id: string;
  readonly at: number;
  readonly guard: (keys: readonly StoredKey[]) => void;
}

async function revoke(db: Kysely<Tables>, { id, at, guard }: Revocation): Promise<StoredKey | null> {
  return db.transaction().execute(async (tx) => {
    const keys = await allKeys(tx);
    const key = keys.find((other) => other.id === id);
    if (key === undefined || key.revoked !== null) return key ?? null;
    guard(keys);
    await tx.updateTable('caller_key').set({ revoked: at }).where('id', '=', id).execute();
    return { ...key, revoked: at };
  });
}

function toRow(key: StoredKey): Selectable<Tables['caller_key']> {
  return { ...key, roles: key.roles.join(',') };
}

function fromRow(row: Selectable<Tables['caller_key']>): StoredKey {
  const roles = row.roles.split(',');
  return { ...row, roles: ROLES.filter((role: Role) => roles.includes(role)) };
}

/** An approval as it is kept; whether it holds follows from the time. */
export type StoredApproval = Tables['approval'];

/** The approvals, each change together with its leaf. Every promise that resolves speaks of durable state. */
export interface ApprovalStore {
  add(approval: StoredApproval, leaf: ApprovalLeaf): Promise<void>;
  /** Sets the revocation of an approval that has none; null for an unknown id. */
  revoke(id: string, at: number, leaf: ApprovalLeaf): Promise<StoredApproval | null>;
  find(id: string): Promise<StoredApproval | null>;
  /** Those that hold at `now`, newest first. */
  live(now: number): Promise<readonly StoredApproval[]>;
  /** Newest first, at most `limit`. */
  list(limit: number): Promise<readonly StoredApproval[]>;
}

export async function openApprovalStore(
  database: Database,
  outbox: Outbox<ApprovalLeaf>,
): Promise<ApprovalStore> {
  await database.migrate('identity', MIGRATIONS);
  const db = database.tables<Tables>();
  return {
    async add(approval, leaf) {
      await db.transaction().execute(async (tx) => {
        await tx.insertInto('approval').values(approval).execute();
        await outbox.withLeaf(tx, leaf);
      });
    },
    revoke: (id, at, leaf) => revokeApproval(db, outbox, { id, at, leaf }),
    async find(id) {
      return (await db.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirst()) ?? null;
    },
    live: (now) =>
      db
        .selectFrom('approval')
        .selectAll()
        .where('revoked', 'is', null)
        .where('until', '>', now)
        .orderBy('created', 'desc')
        .orderBy('id')
        .execute(),
    list: (limit) =>
      db.selectFrom('approval').selectAll().orderBy('created', 'desc').orderBy('id').limit(limit).execute(),
  };
}

async function revokeApproval(
  db: Kysely<Tables>,
  outbox: Outbox<ApprovalLeaf>,
  { id, at, leaf }: { readonly id: string; readonly at: number; readonly leaf: ApprovalLeaf },
): Promise<StoredApproval | null> {
  return db.transaction().execute(async (tx) => {
    const found = await tx.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirst();
    if (found === undefined || found.revoked !== null) return found ?? null;
    await tx.updateTable('approval').set({ revoked: at }).where('id', '=', id).execute();
    await outbox.withLeaf(tx, leaf);
    return { ...found, revoked: at };
  });
}
