import { z } from 'zod';

import { Fault } from '../core/fault.ts';
import {
  apiVersion,
  approvalRule,
  contract,
  count,
  country,
  digest,
  healthPath,
  kind,
  legalBasis,
  mediaHost,
  modelName,
  packName,
  policyId,
  posture,
  providerId,
  purposeTitle,
  secretName,
  siteName,
  sku,
  strategy,
  text,
  threshold,
  toolKind,
  vkey,
  weight,
} from './bundle-schema.ts';
import { parseInstant } from './instant.ts';
import { parseLabel } from './labels.ts';
import type { Label, ModelRoute, PolicyTest, Provider } from './types.ts';

const MICRO = 1_000_000;
const MAX_YEN = 1_000_000_000;

/** `null`, a missing key and the word `unknown` all say that a fact is not known. */
const known = <S extends z.ZodType>(schema: S): z.ZodType<z.output<S> | null> =>
  z.preprocess((value) => (value === undefined || value === 'unknown' ? null : value), schema.nullable());

const optional = <S extends z.ZodType>(schema: S): z.ZodType<z.output<S> | null> =>
  z.preprocess((value) => value ?? null, schema.nullable());

const instant = z.string().transform((value, context) => {
  const at = parseInstant(value);
  if (at !== null) return at;
  context.addIssue({
    code: 'custom',
    message: 'expected a date like 2027-03-31 or 2027-03-31T00:00:00+09:00',
  });
  return z.NEVER;
});

const label = z.string().transform((value, context): Label => {
  try {
    return parseLabel(value);
  } catch (cause) {
    const message = cause instanceof Fault ? cause.message : 'malformed label';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }
});

const accepts = z
  .enum(['c1', 'c2', 'c3'])
  .default('c1')
  .transform((value) => parseLabel(value).conf);

const yen = z
  .number()
  .min(0)
  .max(MAX_YEN)
  .transform((value) => Math.round(value * MICRO));

const residency = z.strictObject({
  operator: text,
  operatorNationality: known(country),
  inference: known(country),
  storage: known(country),
  logs: known(country),
  support: known(country),
  keyCustody: known(country),
  retentionDays: known(count),
  sku: known(sku),
  training: known(z.boolean()),
  abuseReview: known(z.boolean()),
  posture,
  certifications: z.array(text).default([]),
  evidence: z.array(z.strictObject({ document: text, digest, expires: instant })).default([]),
  legalBasis: known(legalBasis),
  contract: known(contract),
  issued: instant,
  expires: instant,
});

const network = z.strictObject({
  hosts: z.array(text),
  addresses: z.array(text),
  pins: z.array(digest).default([]),
  issuer: optional(digest),
  proxy: optional(text),
});

const body = z.strictObject({
  store: z.boolean().default(false),
  caches: z.boolean().default(false),
  metadata: z.boolean().default(false),
  files: z.boolean().default(false),
  tools: z.array(toolKind).default([]),
  urls: z.array(mediaHost).default([]),
});

const model = z.strictObject({
  accepts,
  upstream: optional(text),
  price: optional(z.strictObject({ in: yen, out: yen })),
});

const purpose = z.union([
  policyId,
  z.strictObject({ id: policyId, title: purposeTitle, approval: optional(approvalRule) }),
]);

/** `site.yaml` */
export const siteDraft = z.strictObject({
  name: siteName,
  jurisdiction: country,
  posture,
  label: optional(label),
  packs: z.array(packName).default(['default']),
  purposes: z.array(purpose).default([]),
  signers: optional(z.strictObject({ threshold, keys: z.array(vkey).min(1) })),
});

/** `providers/*.yaml` */
export const providerDraft = z
  .strictObject({
    id: providerId,
    kind,
    url: optional(text),
    secret: optional(secretName),
    apiVersion: apiVersion.optional(),
    health: healthPath.optional(),
    body: body.optional(),
    models: z.record(modelName, model),
    residency: optional(residency),
    network: optional(network),
  })
  .transform((draft): Provider => ({
    ...draft,
    models: Object.fromEntries(
      Object.entries(draft.models).map(([name, facts]) => [
        name,
        { ...facts, upstream: facts.upstream ?? name },
      ]),
    ),
    residency: draft.residency === null ? null : { ...draft.residency, selfDeclared: false },
  }));

/** `models.yaml` */
export const modelsDraft = z.record(
  modelName,
  z
    .strictObject({
      from: z.array(z.strictObject({ endpoint: text, weight: weight.default(1) })).min(1),
      strategy: strategy.default('order'),
      label: optional(label),
    })
    .transform((route): ModelRoute => route),
);

/** `tests/*.yaml` */
export const testsDraft = z.array(
  z
    .strictObject({
      name: text,
      model: modelName,
      roles: z.array(text).default(['caller']),
      label: optional(text),
      purpose: optional(policyId),
      approved: z.boolean().exactOptional(),
      at: optional(instant),
      allow: z.array(text).default([]),
      deny: z.record(text, z.array(text)).default({}),
    })
    .transform((test): PolicyTest => test),
);
