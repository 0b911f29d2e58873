import { z } from 'zod';
import type { Route } from '../core/route.ts';
import { MAX_SIGNED_BYTES } from './signed-bundle.ts';

const noQuery = z.strictObject({});
/** Governance is no secret inside an organisation, but it names providers and addresses. */
const READERS = ['operator', 'policy-signer', 'auditor'] as const;

const running = z
  .object({
    name: z.string(),
    version: z.int(),
    hash: z.string(),
    emergency: z.boolean(),
    posture: z.string(),
    signers: z.object({ threshold: z.int(), keys: z.array(z.string()) }),
    digests: z.record(z.string(), z.string()),
  })
  .meta({ id: 'RunningPolicy' });

export const getPolicy = {
  method: 'GET',
  path: '/api/v1/policy',
  auth: READERS,
  summary: 'The bundle that runs: version, hash, signers, and the digest of each part.',
  query: noQuery,
  body: null,
  reply: running,
  produces: 'application/json',
} as const satisfies Route;

export const getRunningBundle = {
  method: 'GET',
  path: '/api/v1/policy/running',
  auth: READERS,
  summary: 'The bundle that runs, whole, without signatures.',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'text/plain; charset=utf-8',
} as const satisfies Route;

const adopted = z
  .object({
    version: z.int(),
    hash: z.string(),
    previous: z.string().nullable(),
    adopted: z.int(),
    emergency: z.boolean(),
    signers: z.array(z.string()),
    leaf: z.string().nullable(),
  })
  .meta({ id: 'AdoptedPolicy' });

export const getPolicyHistory = {
  method: 'GET',
  path: '/api/v1/policy/history',
  auth: READERS,
  summary: 'Every bundle that ran, oldest first, with who signed it and its leaf’s id.',
  query: noQuery,
  body: null,
  reply: z.object({ bundles: z.array(adopted) }),
  produces: 'application/json',
} as const satisfies Route;

export const getPolicyVersion = {
  method: 'GET',
  path: '/api/v1/policy/history/{version}',
  auth: READERS,
  summary: 'A bundle that ran, as it was signed.',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'text/plain; charset=utf-8',
} as const satisfies Route;

export const applyPolicy = {
  method: 'POST',
  path: '/api/v1/policy/apply',
  auth: ['operator', 'policy-signer'],
  summary: 'Puts a signed bundle in force. Its signatures are what authorises it; the key only brings it.',
  query: z.strictObject({
    immediate: z.enum(['true', 'false']).default('false').describe('true cuts what still runs'),
  }),
  body: z.string(),
  text: { maxBytes: MAX_SIGNED_BYTES },
  reply: z.object({
    version: z.int(),
    hash: z.string(),
    previous: z.string(),
    emergency: z.boolean(),
    signers: z.array(z.string()),
    leaf: z.int().nullable(),
  }),
  produces: 'application/json',
} as const satisfies Route;
