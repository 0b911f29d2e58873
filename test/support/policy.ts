import { buildBundle } from '../../src/policy/bundle.ts';
import { EXAMPLE_GOVERNANCE, loadDrafts } from '../../src/policy/drafts.ts';
import { createPolicyEngine } from '../../src/policy/engine.ts';
import type {
  Bundle,
  DecisionInput,
  Drafts,
  EndpointDecision,
  PolicyEngine,
  Provider,
  ResidencyRecord,
  SiteFacts,
} from '../../src/policy/types.ts';

export const SIGNER = `test.example/signer+0a1b2c3d+${Buffer.alloc(33, 1).toString('base64')}`;
export const SIGNERS = { threshold: 1, keys: [SIGNER] };

/** 2026-12-01T00:00:00Z, inside the life of `domesticRecord`. */
export const AT = 1_796_083_200_000;
const DAY = 86_400_000;

/** Everything known and Japanese, so that one changed fact is the cause of a denial. */
export const domesticRecord: ResidencyRecord = {
  operator: 'Domestic K.K.',
  operatorNationality: 'JP',
  inference: 'JP',
  storage: 'JP',
  logs: 'JP',
  support: 'JP',
  keyCustody: 'JP',
  retentionDays: 0,
  sku: 'standard',
  training: false,
  abuseReview: false,
  posture: 'public',
  certifications: ['ISMAP'],
  evidence: [],
  legalBasis: 'domestic',
  contract: 'negotiated',
  issued: AT - 30 * DAY,
  expires: AT + 30 * DAY,
  selfDeclared: false,
};

export const outside: Provider = {
  id: 'outside',
  kind: 'openai',
  url: 'https://ai.example/v1',
  secret: null,
  models: { m: { accepts: 2, upstream: 'm', price: null } },
  residency: domesticRecord,
  network: {
    hosts: ['ai.example'],
    addresses: ['203.0.113.0/24'],
    pins: [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`],
    issuer: null,
    proxy: null,
  },
};

export interface Variation {
  readonly site?: Partial<SiteFacts>;
  readonly record?: Partial<ResidencyRecord> | null;
  readonly provider?: Partial<Provider>;
  readonly policies?: Readonly<Record<string, string>>;
  readonly purposes?: Drafts['purposes'];
}

const shipped = await loadDrafts(EXAMPLE_GOVERNANCE);

/** Drafts with one provider `outside/m`, called `chat` with floor c1, under the default pack. */
export function sampleDrafts(change: Variation = {}): Drafts {
  const residency = change.record === null ? null : { ...domesticRecord, ...change.record };
  return {
    site: {
      name: 'test.example',
      jurisdiction: 'JP',
      posture: 'private',
      label: { conf: 1, categories: [] },
      packs: ['default'],
      ...change.site,
    },
    signers: null,
    providers: [{ ...outside, residency, ...change.provider }],
    models: { chat: { from: [{ endpoint: 'outside/m', weight: 1 }], strategy: 'order', label: null } },
    purposes: change.purposes ?? [],
    policies: change.policies ?? {},
    packs: change.site?.packs?.length === 0 ? {} : shipped.packs,
    tests: [],
  };
}

export function sampleBundle(change: Variation = {}): Bundle {
  return buildBundle(sampleDrafts(change), { version: 1, signers: SIGNERS });
}

export function sampleEngine(change: Variation = {}): PolicyEngine {
  return createPolicyEngine(sampleBundle(change));
}

export function ask(change: Partial<DecisionInput> = {}): DecisionInput {
  return {
    caller: { id: 'key-1', tenant: 'tenant-1', roles: ['caller'] },
    action: 'infer',
    model: 'chat',
    label: { conf: 2, categories: [] },
    purpose: null,
    now: AT,
    ...change,
  };
}

/** The decision for the one endpoint of the sample. */
export function decided(engine: PolicyEngine, input: DecisionInput = ask()): EndpointDecision {
  const [decision] = engine.plan(input).decisions;
  if (decision === undefined) throw new Error('no endpoint was looked at');
  return decision;
}
