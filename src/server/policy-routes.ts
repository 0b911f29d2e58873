import { Fault } from '../core/fault.ts';
import { bind, type BoundRoute } from '../core/route.ts';
import { stopsAll } from '../policy/emergency.ts';
import type { PolicyEngine } from '../policy/types.ts';
import type { Governor } from './governor.ts';
import {
  applyPolicy,
  getPolicy,
  getPolicyHistory,
  getPolicyVersion,
  getRunningBundle,
} from './policy-contract.ts';
import { unsignedText } from './signed-bundle.ts';

export function policyRoutes(governor: Governor): readonly BoundRoute[] {
  return [
    bind(getPolicy, async () => ({ json: describe(governor.engine) })),
    bind(getRunningBundle, async () => text(unsignedText(governor.engine.bundle))),
    bind(getPolicyHistory, async () => ({ json: { bundles: await governor.history() } })),
    bind(getPolicyVersion, async ({ params }) => {
      const version = params['version'] ?? '';
      const file = /^[1-9]\d{0,15}$/.test(version) ? await governor.file(Number(version)) : null;
      if (file !== null) return text(file);
      throw new Fault('missing', 'policy.no_version', 'no bundle of this version is kept here');
    }),
    bind(applyPolicy, async ({ body, query }) => ({
      json: await governor.apply(body, { immediate: query.immediate === 'true' }),
    })),
  ];
}

function describe({ bundle, hash }: PolicyEngine): Record<string, unknown> {
  const { name, posture, signers } = bundle.site;
  const { version, digests } = bundle;
  return { name, version, hash, emergency: stopsAll(bundle), posture, signers, digests };
}

function text(content: string): { content: { type: string; bytes: Buffer } } {
  return { content: { type: getRunningBundle.produces, bytes: Buffer.from(content) } };
}
