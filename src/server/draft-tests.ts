import type { Env } from '../core/env.ts';
import { systemWorld } from '../core/world.ts';
import { buildBundle } from '../policy/bundle.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../policy/drafts.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import { checkFormally, type FormalReport } from '../policy/formal.ts';
import { runPolicyTests, type PolicyTestResult } from '../policy/policy-tests.ts';
import type { Bundle } from '../policy/types.ts';
import { resolveConfig, type StartFlags } from './start.ts';

/** Drafts are tested before anybody signs them; this key signs nothing and leaves the process with the test. */
const NOBODY = `policy-test+00000000+${Buffer.alloc(33).toString('base64')}`;

/**
 * Runs the tests of a folder of drafts; without one, of the folder that the configuration names.
 * @throws Fault `policy.draft`, `policy.invalid` when the drafts cannot be decided with.
 */
export async function testDrafts(
  env: Env,
  flags: StartFlags,
  folder: string | null,
): Promise<{ folder: string; results: readonly PolicyTestResult[] }> {
  const { dir, bundle } = await bundleOf(env, flags, folder);
  const engine = createPolicyEngine(bundle);
  return { folder: dir, results: runPolicyTests(engine, systemWorld().clock.now()) };
}

/**
 * Whether the policies of the same drafts could ever let data above c1 go abroad, for any facts.
 * @throws Fault `policy.draft`, `policy.invalid` when the drafts cannot be decided with.
 */
export async function checkDraftsFormally(
  env: Env,
  flags: StartFlags,
  folder: string | null,
): Promise<FormalReport> {
  const { bundle } = await bundleOf(env, flags, folder);
  return checkFormally(bundle);
}

async function bundleOf(
  env: Env,
  flags: StartFlags,
  folder: string | null,
): Promise<{ readonly dir: string; readonly bundle: Bundle }> {
  const dir = folder ?? resolveConfig(env, flags).config.governance ?? EXAMPLE_GOVERNANCE;
  const drafts = await loadDrafts(dir);
  const signers = drafts.signers ?? { threshold: 1, keys: [NOBODY] };
  return { dir, bundle: buildBundle(drafts, { version: 1, signers }) };
}
