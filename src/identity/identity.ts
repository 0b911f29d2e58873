import path from 'node:path';

import { Fault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secret.ts';
import type { World } from '../core/world.ts';
import type { Database } from '../storage/database.ts';
import { adminKeyFile } from './admin-key.ts';
import { credentialOf, type CredentialHeaders } from './credentials.ts';
import { drawKey, keyHash } from './key.ts';
import { openIdentityStore, type IdentityStore, type StoredKey } from './store.ts';
import { ROLES, type Caller, type KeyFacts, type KeyOrigin, type Role, type Tenant } from './types.ts';

/** Organisations and the keys of callers. */
export interface Identity {
  /** Where the key of the first start lies; null when SEKISHO_ADMIN_KEY gives it. */
  readonly adminKeyPath: string | null;
  /** Who asks, from memory, or null. `anthropic` says that `x-api-key` counts on this path. */
  authenticate(headers: CredentialHeaders, options?: { readonly anthropic?: boolean }): Caller | null;
  /** The key itself is shown here and never again. @throws Fault `identity.invalid`, `identity.unknown_tenant` */
  createKey(order: KeyOrder): Promise<{ readonly key: Secret; readonly facts: KeyFacts }>;
  /** All keys, or those of one organisation. */
  listKeys(): Promise<readonly KeyFacts[]>;
  /** Effective when it resolves. @throws Fault `identity.unknown_key`, `identity.last_admin` */
  revokeKey(id: string): Promise<KeyFacts>;
  /** @throws Fault `identity.invalid`, `identity.name_taken` */
  createTenant(name: string): Promise<Tenant>;
  listTenants(): Promise<readonly Tenant[]>;
  /** Reads the keys anew, for changes that another process made. */
  refresh(): Promise<void>;
}

/** `expires` in ms since 1970, null for never. */
export interface KeyOrder {
  readonly tenant: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly expires: number | null;
}

export interface IdentityOptions {
  readonly database: Database;
  readonly world: World;
  /** SEKISHO_ADMIN_KEY. */
  readonly adminKey: Secret | null;
  readonly dataDir: string;
  readonly log: Log;
}

const FIRST_TENANT = 'default';
const ADMIN_ROLES: readonly Role[] = ['admin', 'operator', 'auditor', 'caller'];
const NAME = /^[^\p{C}\p{Z}]([^\p{C}\p{Zl}\p{Zp}]{0,62}[^\p{C}\p{Z}])?$/u;
const STRONG_CHARS = 32;

/**
 * Opens the room and makes the organisation `default` and its administrator's key on the first start.
 * @throws Fault `identity.admin_key_file` when DATA/admin-key cannot be made or trusted.
 */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const store = await openIdentityStore(options.database);
  const adminKeyPath = await enrolAdmin(options, store);
  const room = new IdentityRoom(options, store, adminKeyPath);
  await room.refresh();
  return room;
}

class IdentityRoom implements Identity {
  readonly adminKeyPath: string | null;
  readonly #world: World;
  readonly #log: Log;
  readonly #store: IdentityStore;
  #live = new Map<string, { readonly caller: Caller; readonly expires: number }>();
  #refreshed: Promise<void> = Promise.resolve();

  constructor({ world, log }: IdentityOptions, store: IdentityStore, adminKeyPath: string | null) {
    this.#world = world;
    this.#log = log;
    this.#store = store;
    this.adminKeyPath = adminKeyPath;
  }

  authenticate(headers: CredentialHeaders, { anthropic = false } = {}): Caller | null {
    const credential = credentialOf(headers, anthropic);
    if (credential === null) return null;
    const found = this.#live.get(keyHash(credential));
    return found !== undefined && this.#world.clock.now() < found.expires ? found.caller : null;
  }

  async createKey(order: KeyOrder): Promise<{ readonly key: Secret; readonly facts: KeyFacts }> {
    const now = this.#world.clock.now();
    if (order.expires !== null && !(Number.isSafeInteger(order.expires) && order.expires > now))
      throw invalid('expires', 'a time to come, in milliseconds since 1970');
    const key = drawKey(this.#world.random);
    const stored = newKey(this.#world, {
      ...order,
      name: readName(order.name),
      roles: readRoles(order.roles),
    });
    await this.#store.addKey({ ...stored, hash: keyHash(key.reveal()) });
    await this.refresh();
    this.#log.info('identity.key_created', { key: stored.id, tenant: stored.tenant });
    return { key, facts: withoutHash(stored) };
  }

  async listKeys(): Promise<readonly KeyFacts[]> {
    const keys = await this.#store.keys();
    return keys.map(withoutHash);
  }

  async revokeKey(id: string): Promise<KeyFacts> {
    const now = this.#world.clock.now();
    const key = await this.#store.revoke(id, now, (keys) => keepAnAdmin(keys, id, now));
    if (key === null)
      throw new Fault('missing', 'identity.unknown_key', 'expected the id of a key of this site');
    await this.refresh();
    this.#log.info('identity.key_revoked', { key: id, tenant: key.tenant });
    return withoutHash(key);
  }

  async createTenant(name: string): Promise<Tenant> {
    const tenant = newTenant(this.#world, readName(name));
    await this.#store.addTenant(tenant);
    this.#log.info('identity.tenant_created', { tenant: tenant.id });
    return tenant;
  }

  listTenants(): Promise<readonly Tenant[]> {
    return this.#store.tenants();
  }

  // One at a time: a reading from before a change must not replace the one from after it.
  refresh(): Promise<void> {
    const next = this.#refreshed.then(() => this.#read());
    this.#refreshed = next.catch(() => {});
    return next;
  }

  async #read(): Promise<void> {
    const keys = await this.#store.keys();
    this.#live = new Map(
      keys
        .filter((key) => key.revoked === null)
        .map(({ hash, id, tenant, roles, expires }) => [
          hash,
          { caller: Object.freeze({ id, tenant, roles }), expires: expires ?? Number.POSITIVE_INFINITY },
        ]),
    );
  }
}

// The file comes before the row: a crash between them leaves a key that the next start enrols.
async function enrolAdmin(options: IdentityOptions, store: IdentityStore): Promise<string | null> {
  const { world, adminKey, dataDir, log } = options;
  const tenant = await store.ensureTenant(newTenant(world, FIRST_TENANT));
  const keys = await store.keys();
  const enrol = async (key: Secret, origin: KeyOrigin): Promise<void> => {
    const order = { tenant: tenant.id, name: origin, roles: ADMIN_ROLES, expires: null };
    await store.enrolKey({ ...newKey(world, order), origin, hash: keyHash(key.reveal()) });
  };
  await revokeOthers(keys, adminKey, { store, now: world.clock.now() });
  if (adminKey !== null) {
    if (adminKey.reveal().length < STRONG_CHARS) log.warn('identity.weak_admin_key');
    await enrol(readAdminKey(adminKey), 'environment');
    return null;
  }
  const file = path.join(dataDir, 'admin-key');
  if (!keys.some((key) => key.origin === 'first-start')) {
    await enrol(
      adminKeyFile(file, () => drawKey(world.random)),
      'first-start',
    );
  }
  return file;
}

// A key counts as the environment's only while the environment holds it.
async function revokeOthers(
  keys: readonly StoredKey[],
  adminKey: Secret | null,
  { store, now }: { readonly store: IdentityStore; readonly now: number },
): Promise<void> {
  const hash = adminKey === null ? null : keyHash(adminKey.reveal());
  for (const key of keys) {
    if (key.origin === 'environment' && key.hash !== hash) await store.revoke(key.id, now, () => {});
  }
}

function readAdminKey(key: Secret): Secret {
  if (/^[\x21-\x7e]{1,4096}$/.test(key.reveal())) return key;
  throw invalid('SEKISHO_ADMIN_KEY', 'visible ASCII characters without spaces');
}

function newTenant(world: World, name: string): Tenant {
  return { id: world.ids.next('o'), name, created: world.clock.now() };
}

function newKey(world: World, order: KeyOrder): KeyFacts {
  const { tenant, name, roles, expires } = order;
  const created = world.clock.now();
  return { id: world.ids.next('k'), tenant, name, roles, origin: 'issued', created, expires, revoked: null };
}

function withoutHash({ id, tenant, name, roles, origin, created, expires, revoked }: KeyFacts): KeyFacts {
  return { id, tenant, name, roles, origin, created, expires, revoked };
}

function keepAnAdmin(keys: readonly StoredKey[], id: string, now: number): void {
  const administers = (key: StoredKey): boolean =>
    key.revoked === null && key.roles.includes('admin') && (key.expires === null || key.expires > now);
  if (keys.some((key) => key.id !== id && administers(key))) return;
  if (keys.some((key) => key.id === id && administers(key)))
    throw new Fault('conflict', 'identity.last_admin', 'expected another key with the role admin to remain');
}

function readName(name: string): string {
  const composed = name.normalize('NFC');
  if (composed.isWellFormed() && NAME.test(composed)) return composed;
  throw invalid('name', '1 to 64 printable characters');
}

function readRoles(roles: readonly Role[]): readonly Role[] {
  if (roles.length > 0 && roles.every((role) => ROLES.includes(role)))
    return ROLES.filter((role) => roles.includes(role));
  throw invalid('roles', `at least one of ${ROLES.join(', ')}`);
}

function invalid(what: string, expected: string): Fault {
  return new Fault('invalid', 'identity.invalid', `${what}: expected ${expected}`, { details: { what } });
}
