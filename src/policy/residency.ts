import { createHash } from 'node:crypto';

import { canonicalJson } from '../core/canonical-json.ts';
import { NEVER } from './instant.ts';
import type { Endpoint, EndpointDecision, ResidencyRecord, SiteFacts } from './types.ts';

/** Kinds whose models this machine runs itself, so that their record follows from the site's own facts. */
const OWN_KINDS: ReadonlySet<string> = new Set(['llama']);

/** ISO 3166-1 leaves ZZ to users; here it says that no country was declared. */
export const UNKNOWN_COUNTRY = 'ZZ';

/** True when a provider of this kind is this machine: it has no url and its record is implicit. */
export function isOwnKind(kind: string): boolean {
  return OWN_KINDS.has(kind);
}

/** The record of the site's own machine, marked as declared by nobody but the site. */
export function implicitRecord(site: SiteFacts): ResidencyRecord {
  return {
    operator: site.name,
    operatorNationality: site.jurisdiction,
    inference: site.jurisdiction,
    storage: site.jurisdiction,
    logs: site.jurisdiction,
    support: site.jurisdiction,
    keyCustody: site.jurisdiction,
    retentionDays: 0,
    sku: null,
    training: false,
    abuseReview: false,
    posture: site.posture,
    certifications: [],
    evidence: [],
    legalBasis: 'domestic',
    contract: 'own',
    issued: 0,
    expires: NEVER,
    selfDeclared: true,
  };
}

/** `sha256:<hex>` of the canonical JSON; the digest of `null` says that there is no record. */
export function recordDigest(record: ResidencyRecord | null): string {
  const json = record === null ? null : { ...record, evidence: record.evidence.map((item) => ({ ...item })) };
  return `sha256:${createHash('sha256').update(canonicalJson(json)).digest('hex')}`;
}

/** The declared destination, as a decision leaf records it. */
export function destination(endpoint: Endpoint): NonNullable<EndpointDecision['to']> {
  const { id, provider, record } = endpoint;
  return Object.freeze({
    endpoint: id,
    operator: record?.operator ?? provider,
    country: record?.inference ?? UNKNOWN_COUNTRY,
    posture: record?.posture ?? 'public',
    selfDeclared: record?.selfDeclared ?? false,
    expires: record?.expires ?? 0,
  });
}

/** What of a record holds at one moment, and from when until when (ms since 1970) exactly that holds. */
export interface RecordMoment {
  readonly current: boolean;
  /** The names of the evidence documents that are not expired. */
  readonly evidence: readonly string[];
  readonly from: number;
  readonly until: number;
}

/** The record as it stands at `now`; its dates are the only facts of a decision that change by themselves. */
export function recordAt(record: ResidencyRecord | null, now: number): RecordMoment {
  if (record === null) return { current: false, evidence: [], from: 0, until: NEVER };
  const boundaries = [record.issued, record.expires, ...record.evidence.map(({ expires }) => expires)];
  return {
    current: record.issued <= now && now < record.expires,
    evidence: record.evidence.filter(({ expires }) => now < expires).map(({ document }) => document),
    from: Math.max(0, ...boundaries.filter((boundary) => boundary <= now)),
    until: Math.min(NEVER, ...boundaries.filter((boundary) => boundary > now)),
  };
}
