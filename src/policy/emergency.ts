import { readFileSync } from 'node:fs';

import { Fault } from '../core/fault.ts';
import { buildBundle, bundleHash } from './bundle.ts';
import { splitPolicies } from './cedar-source.ts';
import type { Bundle } from './types.ts';
import { PACKS_URL } from './vocabulary.ts';

const PACK = 'deny-all';
const DENY_ALL = 'sha256:8d82a4332a8534aca50fb949d658a60074d9d4a7be806ff77f7cfb759d8c26d3';

/**
 * The emergency stop of a site: what runs, with the shipped pack that denies everything in the place of all rules.
 * Providers, models and signers stay, so that each request is denied with a reason and the signers can lift it.
 * @throws Fault kind `internal` code `policy.deny_all` when the shipped pack is not the one that this program knows.
 */
export function emergencyBundle(running: Bundle): Bundle {
  const bundle = buildBundle(
    {
      ...running,
      signers: null,
      site: { ...running.site, packs: [PACK] },
      policies: {},
      packs: { [PACK]: { policies: denyAll() } },
      tests: [],
    },
    { version: running.version + 1, signers: running.site.signers },
  );
  if (bundle.digests[`packs/${PACK}`] === DENY_ALL) return bundle;
  throw new Fault('internal', 'policy.deny_all', 'the shipped pack deny-all was changed; install it anew');
}

/** True for exactly the emergency stop of what runs: of any other bundle one signature is not enough. */
export function isEmergencyOf(bundle: Bundle, running: Bundle): boolean {
  if (!stopsAll(bundle) || bundle.version !== running.version + 1) return false;
  return bundleHash(emergencyBundle(running)) === bundleHash(bundle);
}

/** True when the bundle's only rules are those of the emergency stop. */
export function stopsAll({ digests, policies, site }: Bundle): boolean {
  const only = site.packs.length === 1 && Object.keys(policies).length === 0;
  return only && digests[`packs/${PACK}`] === DENY_ALL;
}

function denyAll(): Record<string, string> {
  const text = readFileSync(new URL(`${PACK}/stop.cedar`, PACKS_URL), 'utf8');
  return Object.fromEntries(splitPolicies(text, 'stop'));
}
