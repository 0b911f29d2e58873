import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import type { Ledger, SiteEvent } from '../ledger/types.ts';
import { adoptBundle } from '../policy/adopt.ts';
import { bundleHash } from '../policy/bundle.ts';
import type { Bundle } from '../policy/types.ts';
import type { Database } from '../storage/database.ts';
import { openOutbox, type Outbox } from '../storage/outbox.ts';
import { parseAny, unsignedText } from './signed-bundle.ts';
import type { BundleStore } from './store.ts';

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

/** What a bundle leaf says of the adoption. */
export interface Adoption {
  readonly bundle: Bundle;
  readonly hash: string;
  /** The signed file; without signatures on the first start. */
  readonly file: string;
  readonly previous: string | null;
  readonly emergency: boolean;
  /** `name+id` of each that signed. */
  readonly signers: readonly string[];
}

/** Commits an adoption and its leaf together; the leaf enters the log with the next `pump`. Gives the leaf's id. */
export async function commitAdoption(
  store: BundleStore<SiteEvent>,
  world: World,
  adoption: Adoption,
): Promise<string> {
  const { bundle, hash, file, previous, emergency, signers } = adoption;
  const { version } = bundle;
  const id = world.ids.next('b');
  await store.adopt(
    { hash, version, adopted: world.clock.now(), file, previous, emergency, signers, leaf: id },
    { kind: 'bundle', id, bundle: hash, version, previous, emergency, signers },
  );
  return id;
}

/**
 * The bundle that may decide from this start on: the one on the disk, if it was adopted; else the one that an apply had
 * committed when its process ended, which is now adopted on the disk too.
 * @throws Fault kind `invalid` code `policy.not_adopted` for a bundle that came onto the disk in another way.
 */
export async function settleBundle(parts: {
  readonly store: BundleStore<SiteEvent>;
  readonly outbox: LeafOutbox;
  readonly running: Bundle;
  readonly folder: string;
  readonly world: World;
  readonly ledger: Ledger;
}): Promise<Bundle> {
  const bundle = await adoptedBundle(parts);
  await repeatLeaf(parts.store, parts.ledger);
  return bundle;
}

// A log begins, after a rotation, with its predecessor; whoever reads it alone must also find which bundle decides.
async function repeatLeaf(store: BundleStore<SiteEvent>, ledger: Ledger): Promise<void> {
  const latest = await store.latest();
  if (latest?.leaf === undefined || latest.leaf === null || ledger.logs().length === 1) return;
  if ((await ledger.findSite(latest.leaf, 0)) !== null) return;
  const { leaf: id, hash, version, previous, emergency, signers } = latest;
  await ledger.appendSite({ kind: 'bundle', id, bundle: hash, version, previous, emergency, signers });
}

async function adoptedBundle(parts: {
  readonly store: BundleStore<SiteEvent>;
  readonly outbox: LeafOutbox;
  readonly running: Bundle;
  readonly folder: string;
  readonly world: World;
}): Promise<Bundle> {
  const { store, outbox, running, folder, world } = parts;
  const latest = await store.latest();
  const hash = bundleHash(running);
  if (latest === null && running.version === 1) {
    const file = unsignedText(running);
    await commitAdoption(store, world, {
      bundle: running,
      hash,
      file,
      previous: null,
      emergency: false,
      signers: [],
    });
    await outbox.pump();
    return running;
  }
  if (latest?.hash === hash) return running;
  if (latest === null || latest.file === null || latest.version <= running.version) throw notAdopted(running);
  const { bundle } = parseAny(latest.file);
  if (bundleHash(bundle) !== latest.hash) throw notAdopted(bundle);
  await adoptBundle(folder, bundle);
  return bundle;
}

function notAdopted({ version }: Bundle): Fault {
  const message =
    `version ${version} in DATA/governance was never applied here; ` +
    'put back running.json from DATA/governance/history, and sekisho.db if it is an old copy';
  return new Fault('invalid', 'policy.not_adopted', message);
}
