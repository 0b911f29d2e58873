import { DAY } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import { bind, type BoundRoute, type RouteCaller } from '../core/route.ts';
import type { World } from '../core/world.ts';
import type { ApprovalTerms } from './approval.ts';
import type { Approvals } from './approvals.ts';
import {
  createKey,
  createTenant,
  giveApproval,
  listApprovals,
  listKeys,
  listTenants,
  revokeApproval,
  revokeKey,
} from './contract.ts';
import type { Identity } from './identity.ts';
import { ROLES, type Caller } from './types.ts';

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

/** `terms` are those of the bundle that runs when it is asked; null when it wants no approval for the purpose. */
export function approvalRoutes(
  approvals: Approvals,
  terms: (purpose: string) => ApprovalTerms | null,
): readonly BoundRoute[] {
  return [
    bind(giveApproval, async ({ body, caller }) => {
      const { purpose, tenant, caller: key, hours = null, reason = null } = body;
      const target = targetOf(tenant, key);
      const order = { purpose, terms: terms(purpose), for: target, hours, reason };
      return { status: 201, json: await approvals.give(signedIn(caller), order) };
    }),
    bind(listApprovals, async ({ query, caller }) => ({
      json: { approvals: await approvals.list(signedIn(caller), { all: query.all === 'true' }) },
    })),
    bind(revokeApproval, async ({ params, caller }) => ({
      json: await approvals.revoke(params['id'] ?? '', signedIn(caller)),
    })),
  ];
}

function targetOf(
  tenant: string | undefined,
  caller: string | undefined,
): { tenant: string } | { caller: string } {
  if (tenant !== undefined && caller === undefined) return { tenant };
  if (caller !== undefined && tenant === undefined) return { caller };
  throw new Fault('invalid', 'identity.invalid', 'expected either tenant or caller', {
    details: { what: 'tenant' },
  });
}

// The server lets nobody without a key this far; a role that this room does not know opens nothing.
function signedIn(caller: RouteCaller | null): Caller {
  if (caller === null) throw new Fault('unauthenticated', 'identity.invalid_api_key', 'no valid key');
  return { ...caller, roles: ROLES.filter((role) => caller.roles.includes(role)) };
}
