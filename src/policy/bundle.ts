import { createHash } from 'node:crypto';

import { canonicalJson, type Json } from '../core/canonical-json.ts';
import { Fault } from '../core/fault.ts';
import { deepFreeze } from '../core/freeze.ts';
import { bundleSchema } from './bundle-schema.ts';
import { checkReferences } from './bundle-check.ts';
import { draftFault, parseStrict } from './strict-parse.ts';
import type { Bundle, Drafts, Signers } from './types.ts';

/** What about a bundle cannot be used, for those who must tell one refusal from another. */
export type BundleFlaw = 'size' | 'form' | 'schema' | 'members' | 'digest' | 'reference';

/** Larger ones are refused before they are parsed. */
export const MAX_BUNDLE_BYTES = 4 * 1024 * 1024;

const WHERE = 'bundle';

/**
 * The bundle that drafts make: every part in one value, each with its digest.
 * @throws Fault kind `invalid` code `policy.draft` when the parts contradict each other.
 */
export function buildBundle(drafts: Drafts, options: { version: number; signers: Signers }): Bundle {
  const { signers: _, site, ...rest } = drafts;
  const providers = [...drafts.providers].sort((a, b) => (a.id < b.id ? -1 : 1));
  const parts = {
    ...rest,
    v: 1 as const,
    kind: 'governance' as const,
    version: options.version,
    site: { ...site, signers: options.signers },
    providers,
  };
  const bundle = parseStrict(bundleSchema, { ...parts, digests: digestParts(parts) }, WHERE);
  return checked(bundle);
}

/**
 * The bytes that are hashed, signed and stored: RFC 8785 canonical JSON.
 * @throws Fault kind `invalid` code `policy.draft` when they are more than `MAX_BUNDLE_BYTES`.
 */
export function encodeBundle(bundle: Bundle): Buffer {
  const bytes = Buffer.from(canonicalJson(asJson(bundle)));
  if (bytes.length > MAX_BUNDLE_BYTES)
    throw draftFault(WHERE, [`expected at most ${MAX_BUNDLE_BYTES} bytes, found ${bytes.length}`]);
  return bytes;
}

/** `sha256:<hex>` of the canonical bytes; a decision names it. */
export function bundleHash(bundle: Bundle): string {
  return sha256(encodeBundle(bundle));
}

/**
 * The bundle that canonical bytes hold. Bytes that differ from their own canonical form are refused, so that a hash
 * names one bundle and a bundle has one hash.
 * @throws Fault kind `invalid` code `policy.bundle`, or `policy.draft` when its parts contradict each other.
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  const value = parseCanonical(bytes);
  const bundle = shaped(value);
  // Nothing of the bytes may be passed over: what was signed is what runs.
  if (!encodeBundle(bundle).equals(bytes)) throw unusable('members', 'it holds members that are not read');
  for (const [part, expected] of Object.entries(digestParts(bundle)))
    if (bundle.digests[part] !== expected)
      throw unusable('digest', `the digest of ${part} does not match its content`);
  if (Object.keys(bundle.digests).length !== Object.keys(digestParts(bundle)).length)
    throw unusable('digest', 'digests name a part that is not there');
  return checked(bundle);
}

function checked(bundle: Bundle): Bundle {
  const problems = checkReferences(bundle);
  if (problems.length > 0) throw withFlaw(draftFault(WHERE, problems), 'reference');
  // What runs is shared by every request; nothing may change it in passing.
  return deepFreeze(bundle);
}

function parseCanonical(bytes: Uint8Array): unknown {
  // bytes are attacker-controlled
  if (bytes.length > MAX_BUNDLE_BYTES) throw unusable('size', `expected at most ${MAX_BUNDLE_BYTES} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: Json = JSON.parse(text);
    if (canonicalJson(value) === text) return value;
  } catch (cause) {
    throw unusable('form', 'expected canonical JSON', cause);
  }
  throw unusable('form', 'expected canonical JSON (RFC 8785), found another spelling');
}

function shaped(value: unknown): Bundle {
  try {
    return parseStrict(bundleSchema, value, WHERE);
  } catch (cause) {
    throw withFlaw(cause, 'schema');
  }
}

function unusable(flaw: BundleFlaw, problem: string, cause?: unknown): Fault {
  const options = cause === undefined ? {} : { cause };
  return new Fault('invalid', 'policy.bundle', `unusable bundle: ${problem}`, {
    details: { flaw },
    ...options,
  });
}

function withFlaw(thrown: unknown, flaw: BundleFlaw): unknown {
  if (!(thrown instanceof Fault)) return thrown;
  const { kind, code, message, details } = thrown;
  return new Fault(kind, code, message, { details: { ...details, flaw }, cause: thrown });
}

/** `part: digest` for every part that a person edits as one file or folder. */
function digestParts(bundle: Omit<Bundle, 'digests' | 'v' | 'kind' | 'version'>): Record<string, string> {
  const parts: Record<string, unknown> = {
    site: bundle.site,
    models: bundle.models,
    purposes: bundle.purposes,
    tests: bundle.tests,
  };
  for (const provider of bundle.providers) parts[`providers/${provider.id}`] = provider;
  for (const [id, text] of Object.entries(bundle.policies)) parts[`policies/${id}`] = text;
  for (const [name, pack] of Object.entries(bundle.packs)) parts[`packs/${name}`] = pack;
  return Object.fromEntries(
    Object.entries(parts).map(([name, value]) => [name, sha256(canonicalJson(asJson(value)))]),
  );
}

function asJson(value: unknown): Json {
  // The schema lets only JSON through; interfaces cannot say so without an index signature.
  return value as Json;
}

function sha256(data: string | Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
