import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder, syncFolder } from '../core/durable.ts';
import type { Secret } from '../core/secret.ts';
import type { World } from '../core/world.ts';
import { requireAdapters } from '../gateway/endpoints.ts';
import { formatSigner, formatVkey, parseSigner, signerFromSeed } from '../ledger/note.ts';
import { adoptBundle, firstBundle, loadRunningBundle } from '../policy/adopt.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../policy/drafts.ts';
import { routedModels } from '../policy/endpoints.ts';
import type { Bundle } from '../policy/types.ts';

const SEED_BYTES = 32;

export interface GovernanceOptions {
  readonly dataDir: string;
  /** The folder of drafts; null is the built-in example. */
  readonly drafts: string | null;
  /** Those that the configuration holds, by name. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly world: World;
}

/** What a start goes by. */
export interface StartingBundle {
  readonly bundle: Bundle;
  /** Makes a first bundle the one that runs; nothing for one that runs already. */
  adopt(): Promise<void>;
}

/**
 * The bundle that runs, or on the first start version 1, made from the drafts. Once that is adopted DATA holds what runs
 * and drafts change nothing, so it is not adopted before everything that drafts could get wrong has been looked at.
 * @throws Fault `policy.draft`, `policy.invalid`, `policy.tests`, `policy.bundle`, `gateway.unknown_kind`,
 * `gateway.secret_missing`.
 */
export async function startingBundle(options: GovernanceOptions): Promise<StartingBundle> {
  const folder = path.join(options.dataDir, 'governance');
  const running = await loadRunningBundle(folder);
  if (running !== null) return { bundle: running, adopt: async () => {} };
  const drafts = await loadDrafts(options.drafts ?? EXAMPLE_GOVERNANCE);
  const signer = await firstSigner(options, drafts.site.name);
  const bundle = firstBundle(drafts, signer, options.world.clock.now());
  requireAdapters(routedModels(bundle), options.secrets);
  return { bundle, adopt: async () => adoptBundle(folder, bundle) };
}

// The first bundle can only be changed with this key, so it is durable before the bundle names it.
async function firstSigner({ dataDir, world }: GovernanceOptions, site: string): Promise<string> {
  const folder = path.join(dataDir, 'keys');
  const file = path.join(folder, 'policy-signer.key');
  await makePrivateFolder(folder);
  const stored = await textOf(file);
  if (stored !== null) return formatVkey(parseSigner(stored).vkey);
  const seed = world.random.bytes(SEED_BYTES);
  const signer = signerFromSeed(`${site}/policy`, seed);
  // A start that is killed here leaves no half key under the name that the next start reads.
  const draft = `${file}.new`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(`${formatSigner(signer, seed)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  await syncFolder(folder);
  await syncFolder(dataDir);
  return formatVkey(signer.vkey);
}

async function textOf(file: string): Promise<string | null> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
