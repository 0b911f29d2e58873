import type { World } from '../core/world.ts';
import type { Ledger, SiteEvent } from '../ledger/types.ts';
import type { PolicyEngine } from '../policy/types.ts';
import type { Database } from '../storage/database.ts';
import { openOutbox, type Outbox } from '../storage/outbox.ts';
import { BundleStore } from './store.ts';

/** Leaves that belong to a change in the database. */
export type LeafOutbox = Outbox<SiteEvent>;

/** Opens the outbox and appends what an earlier process left behind. */
export async function openLeafOutbox(database: Database, ledger: Ledger): Promise<LeafOutbox> {
  const outbox = await openOutbox<SiteEvent>(database, {
    size: () => ledger.size(),
    append: async (leaf) => ledger.appendSite(leaf),
    find: async (id, from) => ledger.findSite(id, from),
  });
  await outbox.pump();
  return outbox;
}

/** Makes sure that the running bundle stands in the log before it decides anything. */
export async function recordBundle(parts: {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly outbox: LeafOutbox;
  readonly policy: PolicyEngine;
  readonly world: World;
}): Promise<void> {
  const { database, outbox, policy, world } = parts;
  const { version } = policy.bundle;
  const store = await BundleStore.open(database, outbox);
  await store.adopt(
    { hash: policy.hash, version, adopted: world.clock.now() },
    { kind: 'bundle', id: world.ids.next('b'), bundle: policy.hash, version },
  );
  await outbox.pump();
}
