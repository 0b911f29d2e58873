import type { Env } from '../core/env.ts';
import { systemWorld } from '../core/world.ts';
import { buildBundle } from '../policy/bundle.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../policy/drafts.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import { runPolicyTests, type PolicyTestResult } from '../policy/policy-tests.ts';
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
  const dir = folder ?? resolveConfig(env, flags).config.governance ?? EXAMPLE_GOVERNANCE;
  const drafts = await loadDrafts(dir);
  const signers = drafts.signers ?? { threshold: 1, keys: [NOBODY] };
  const engine = createPolicyEngine(buildBundle(drafts, { version: 1, signers }));
  return { folder: dir, results: runPolicyTests(engine, systemWorld().clock.now()) };
}
