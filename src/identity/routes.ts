import { DAY } from '../core/duration.ts';
import { bind, type BoundRoute } from '../core/route.ts';
import type { World } from '../core/world.ts';
import { createKey, createTenant, listKeys, listTenants, revokeKey } from './contract.ts';
import type { Identity } from './identity.ts';

const NO_STORE = { 'cache-control': 'no-store' };

export function identityRoutes(identity: Identity, world: World): readonly BoundRoute[] {
  return [
    bind(createKey, async ({ body, caller }) => {
      const { name, roles, tenant = caller?.tenant ?? '', days } = body;
      const expires = days === undefined ? null : world.clock.now() + days * DAY;
      const { key, facts } = await identity.createKey({ tenant, name, roles, expires });
      return { status: 201, json: { key: key.reveal(), facts }, headers: NO_STORE };
    }),
    bind(listKeys, async () => ({ json: { keys: await identity.listKeys() } })),
    bind(revokeKey, async ({ params }) => ({ json: await identity.revokeKey(params['id'] ?? '') })),
    bind(createTenant, async ({ body }) => ({ status: 201, json: await identity.createTenant(body.name) })),
    bind(listTenants, async () => ({ json: { orgs: await identity.listTenants() } })),
  ];
}
