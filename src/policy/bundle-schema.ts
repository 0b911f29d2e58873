import { z } from 'zod';

import { APPROVING_ROLES, CATEGORIES, STRATEGIES } from './types.ts';

const MAX_LIST = 256;
const MAX_TEXT = 512;
/** A decision leaf names at most this many endpoints. */
export const MAX_ENDPOINTS_PER_MODEL = 32;

const matching = (pattern: RegExp, expected: string): z.ZodString =>
  z.string().regex(pattern, `expected ${expected}`);

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,95}$/;
export const modelName = matching(NAME, 'a model name of at most 96 letters, digits and . _ : / @ -');
export const providerId = matching(/^[a-z0-9][a-z0-9-]{0,31}$/, 'an id of at most 32 of a-z 0-9 -');
export const policyId = matching(/^[a-z0-9][a-z0-9-]{0,47}$/, 'an id of at most 48 of a-z 0-9 -');
export const packName = matching(/^[a-z0-9][a-z0-9-]{0,15}$/, 'a pack name of at most 16 of a-z 0-9 -');
export const secretName = matching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'the name of a secret');
export const apiVersion = matching(
  /^\d{4}-\d{2}-\d{2}(-preview)?$/,
  'a version of an interface, like 2024-10-21',
);
export const healthPath = matching(
  /^\/(?!\/)[\x21-\x5b\x5d-\x7e]{0,511}$/,
  'a path on the host of the url, like /v1/models',
);
/** The kind of a tool that a provider runs, as `tools[].type` names it. */
export const toolKind = matching(/^[a-z][a-z0-9_]{0,63}$/, 'a kind of tool, like web_search');
export const mediaHost = matching(
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/,
  'a host name in small letters, without scheme and port',
);
export const kind = matching(/^[a-z][a-z0-9-]{0,31}$/, 'a kind of provider, like openai or llama');
export const country = matching(/^[A-Z]{2}$/, 'an ISO 3166-1 alpha-2 code in capitals, like JP');
export const digest = matching(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 hex digits');
export const posture = z.enum(['public', 'private', 'disconnected']);
export const sku = z.enum(['standard', 'datazone', 'global']);
/** The grounds of APPI article 28 on which personal data may be handled at the endpoint. */
export const legalBasis = z.enum(['domestic', 'not-provision', 'consent', 'art28-equivalent', 'designated']);
/** How the service was agreed on; terms that were only accepted by a click cannot be negotiated. */
export const contract = z.enum(['negotiated', 'click-through', 'own']);
export const strategy = z.enum(STRATEGIES);
export const text = z.string().min(1).max(MAX_TEXT);
export const count = z.int().min(0);
export const weight = z.int().min(1).max(1000);
export const threshold = z.int().min(1).max(64);

// The name is the first part of a log's key name, which C2SP signed-note wants without blanks and plus signs.
const SITE_NAME = /^[a-z0-9][a-z0-9.-]*(\/[a-z0-9][a-z0-9._-]*)*$/;
export const siteName = matching(SITE_NAME, 'a name like bank.example/prod, without scheme').max(128);

// C2SP signed-note: name, 8 hex digits of the key's hash, base64 of the key.
const VKEY = /^[^\s+]{1,256}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{40,4096}={0,2}$/;
export const vkey = matching(VKEY, "a signer's public key, name+hash+base64");

/** The longest life of an approval that a bundle can allow: a year. */
const MAX_APPROVAL_HOURS = 8784;
export const approvalRule = z.strictObject({
  role: z.enum(APPROVING_ROLES),
  hours: z.int().min(1).max(MAX_APPROVAL_HOURS),
});
export const purposeTitle = z.strictObject({ ja: text, en: text });

const conf = z.union([z.literal(1), z.literal(2), z.literal(3)]);
const label = z.strictObject({ conf, categories: z.array(z.enum(CATEGORIES)).max(CATEGORIES.length) });
const signers = z.strictObject({ threshold, keys: z.array(vkey).min(1).max(64) });

const record = z.strictObject({
  operator: text,
  operatorNationality: country.nullable(),
  inference: country.nullable(),
  storage: country.nullable(),
  logs: country.nullable(),
  support: country.nullable(),
  keyCustody: country.nullable(),
  retentionDays: count.nullable(),
  sku: sku.nullable(),
  training: z.boolean().nullable(),
  abuseReview: z.boolean().nullable(),
  posture,
  certifications: z.array(text).max(64),
  evidence: z.array(z.strictObject({ document: text, digest, expires: count })).max(64),
  legalBasis: legalBasis.nullable(),
  // A bundle that was signed before the fact existed keeps its bytes; absent is unknown.
  contract: contract.nullable().exactOptional(),
  issued: count,
  expires: count,
  // Only the implicit record is self-declared, and that one is never written down.
  selfDeclared: z.literal(false),
});

const provider = z.strictObject({
  id: providerId,
  kind,
  url: text.nullable(),
  secret: secretName.nullable(),
  apiVersion: apiVersion.optional(),
  health: healthPath.optional(),
  body: z
    .strictObject({
      store: z.boolean(),
      caches: z.boolean(),
      metadata: z.boolean(),
      files: z.boolean(),
      tools: z.array(toolKind).max(MAX_LIST),
      urls: z.array(mediaHost).max(MAX_LIST),
    })
    .optional(),
  models: z.record(
    modelName,
    z.strictObject({
      accepts: conf,
      upstream: text,
      price: z.strictObject({ in: count, out: count }).nullable(),
    }),
  ),
  residency: record.nullable(),
  network: z
    .strictObject({
      hosts: z.array(text).max(MAX_LIST),
      addresses: z.array(text).max(MAX_LIST),
      pins: z.array(digest).max(MAX_LIST),
      issuer: digest.nullable(),
      proxy: text.nullable(),
    })
    .nullable(),
});

const route = z.strictObject({
  from: z.array(z.strictObject({ endpoint: text, weight })).max(MAX_ENDPOINTS_PER_MODEL),
  strategy,
  label: label.nullable(),
});

const policyTest = z.strictObject({
  name: text,
  model: modelName,
  roles: z.array(text).max(MAX_LIST),
  label: text.nullable(),
  purpose: policyId.nullable(),
  approved: z.boolean().exactOptional(),
  at: count.nullable(),
  allow: z.array(text).max(MAX_LIST),
  deny: z.record(text, z.array(text).max(MAX_LIST)),
});

// An id alone is what the first bundles hold; they stay valid, and their bytes what was signed.
const purpose = z.union([
  policyId,
  z.strictObject({ id: policyId, title: purposeTitle, approval: approvalRule.nullable() }),
]);

const policies = z.record(policyId, z.string());

/** A bundle exactly as its canonical JSON holds it. */
export const bundleSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal('governance'),
  version: z.int().min(1),
  site: z.strictObject({
    name: siteName,
    jurisdiction: country,
    posture,
    label: label.nullable(),
    packs: z.array(packName).max(16),
    signers,
  }),
  providers: z.array(provider).max(MAX_LIST),
  models: z.record(modelName, route),
  purposes: z.array(purpose).max(MAX_LIST),
  policies,
  packs: z.record(packName, z.strictObject({ policies })),
  tests: z.array(policyTest).max(4096),
  digests: z.record(text, digest),
});
