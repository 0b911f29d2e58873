import { Fault } from '../core/fault.ts';
import { bundleHash, type BundleFlaw } from '../policy/bundle.ts';
import { isEmergencyOf, stopsAll } from '../policy/emergency.ts';
import { createPolicyEngine } from '../policy/engine.ts';
import { requirePolicyTests } from '../policy/policy-tests.ts';
import type { Bundle, PolicyEngine } from '../policy/types.ts';
import { checkSignerKeys, parseSigned, sufficientSigners, type SignedBundle } from './signed-bundle.ts';

/** A signed bundle that may take the place of the running one. */
export interface Judged {
  readonly bundle: Bundle;
  readonly engine: PolicyEngine;
  /** `name+id` of each that signed. */
  readonly signers: readonly string[];
  /** It is the emergency stop of the running bundle, for which one signature is enough. */
  readonly emergency: boolean;
}

const FLAWS: Readonly<Record<BundleFlaw, string>> = {
  size: 'policy.too_large',
  form: 'policy.not_canonical',
  schema: 'policy.schema',
  members: 'policy.schema',
  digest: 'policy.digest',
  reference: 'policy.reference',
};

/**
 * Judges a signed bundle against the one that runs; `ranBefore` knows the hashes that ran, and `now` (ms since 1970)
 * serves the bundle's tests without a time.
 * @throws Fault with a code for each reason, docs/governance.md lists them.
 */
export async function judge(
  text: string,
  running: PolicyEngine,
  { ranBefore, now }: { ranBefore: (hash: string) => Promise<boolean>; now: number },
): Promise<Judged> {
  const signed = readable(text);
  const { bundle, note } = signed;
  const before = running.bundle;
  if (bundle.site.name !== before.site.name)
    throw refused('policy.site_name', `this site is ${before.site.name}, the bundle is for another`);
  await checkVersion(bundle, running, ranBefore);
  checkSignerKeys(bundle.site.signers);
  // While the site is stopped a second stop would only make what the signers prepared out of date.
  const emergency = !stopsAll(before) && isEmergencyOf(bundle, before);
  const { signers: set } = before.site;
  const signers = await sufficientSigners(note, emergency ? { ...set, threshold: 1 } : set);
  // Last, since Cedar keeps what it has parsed: only what was signed for gets so far.
  const engine = createPolicyEngine(bundle);
  // The stop denies what its bundle's tests allow.
  if (!emergency) requirePolicyTests(engine, now);
  return { bundle, engine, signers, emergency };
}

function readable(text: string): SignedBundle {
  try {
    return parseSigned(text);
  } catch (thrown) {
    const flaw = thrown instanceof Fault ? thrown.details['flaw'] : undefined;
    if (!(thrown instanceof Fault) || !isFlaw(flaw)) throw thrown;
    throw new Fault('invalid', FLAWS[flaw], thrown.message, { details: thrown.details, cause: thrown });
  }
}

function isFlaw(value: unknown): value is BundleFlaw {
  return typeof value === 'string' && Object.hasOwn(FLAWS, value);
}

async function checkVersion(
  bundle: Bundle,
  running: PolicyEngine,
  ranBefore: (hash: string) => Promise<boolean>,
): Promise<void> {
  const { version } = running.bundle;
  const hash = bundleHash(bundle);
  if (hash === running.hash) throw conflict('policy.already_running', `version ${version} runs already`);
  if (await ranBefore(hash))
    throw conflict(
      'policy.replayed',
      `version ${bundle.version} ran before; build its content as a new version`,
    );
  if (bundle.version <= version)
    throw conflict('policy.version', `version ${version} runs, expected more, found ${bundle.version}`);
}

function refused(code: string, message: string): Fault {
  return new Fault('invalid', code, message);
}

function conflict(code: string, message: string): Fault {
  return new Fault('conflict', code, message);
}
