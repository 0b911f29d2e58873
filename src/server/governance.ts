import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { World } from '../core/world.ts';
import { formatSigner, formatVkey, parseSigner, signerFromSeed } from '../ledger/note.ts';
import { adoptBundle, firstBundle, loadRunningBundle } from '../policy/adopt.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../policy/drafts.ts';
import type { Bundle } from '../policy/types.ts';

const SEED_BYTES = 32;

export interface GovernanceOptions {
  readonly dataDir: string;
  /** The folder of drafts; null is the built-in example. */
  readonly drafts: string | null;
  readonly world: World;
}

/**
 * The bundle that runs. The first start makes version 1 from the drafts and adopts it; from then on DATA holds what
 * runs, and drafts change nothing.
 * @throws Fault `policy.draft`, `policy.invalid`, `policy.bundle`.
 */
export async function runningBundle(options: GovernanceOptions): Promise<Bundle> {
  const folder = path.join(options.dataDir, 'governance');
  const running = await loadRunningBundle(folder);
  if (running !== null) return running;
  const drafts = await loadDrafts(options.drafts ?? EXAMPLE_GOVERNANCE);
  const bundle = firstBundle(drafts, await firstSigner(options, drafts.site.name));
  await adoptBundle(folder, bundle);
  return bundle;
}

// The first bundle can only be changed with this key, so it is durable before the bundle names it.
async function firstSigner({ dataDir, world }: GovernanceOptions, site: string): Promise<string> {
  const folder = path.join(dataDir, 'keys');
  const file = path.join(folder, 'policy-signer.key');
  await mkdir(folder, { recursive: true, mode: 0o700 });
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
