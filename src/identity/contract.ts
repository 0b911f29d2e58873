import { z } from 'zod';
import type { Route } from '../core/route.ts';
import { ROLES } from './types.ts';

const noQuery = z.strictObject({});
const ADMIN = ['admin'] as const;
/** The longest life of a key in days that may be asked for. */
const MAX_DAYS = 3650;
const MAX_ID_CHARS = 64;
const MAX_REASON_CHARS = 256;

const keyFacts = z
  .object({
    id: z.string(),
    tenant: z.string(),
    name: z.string(),
    roles: z.array(z.enum(ROLES)),
    origin: z.string(),
    created: z.int(),
    expires: z.int().nullable(),
    revoked: z.int().nullable(),
  })
  .meta({ id: 'Key' });

export const createKey = {
  method: 'POST',
  path: '/api/v1/keys',
  auth: ADMIN,
  summary: 'Makes a key. It is shown in this reply and never again.',
  query: noQuery,
  body: z.strictObject({
    name: z.string().min(1).max(64),
    roles: z.array(z.enum(ROLES)).min(1).default(['caller']),
    tenant: z.string().optional().describe('the id of an organisation; the caller’s own when absent'),
    days: z.number().int().min(1).max(MAX_DAYS).optional().describe('days until it expires'),
  }),
  reply: z.object({ key: z.string(), facts: keyFacts }),
  produces: 'application/json',
} as const satisfies Route;

export const listKeys = {
  method: 'GET',
  path: '/api/v1/keys',
  auth: ADMIN,
  summary: 'The keys of this site, without the keys themselves.',
  query: noQuery,
  body: null,
  reply: z.object({ keys: z.array(keyFacts) }),
  produces: 'application/json',
} as const satisfies Route;

export const revokeKey = {
  method: 'DELETE',
  path: '/api/v1/keys/{id}',
  auth: ADMIN,
  summary: 'Revokes a key at once.',
  query: noQuery,
  body: null,
  reply: keyFacts,
  produces: 'application/json',
} as const satisfies Route;

const tenant = z.object({ id: z.string(), name: z.string(), created: z.int() }).meta({ id: 'Organisation' });

export const createTenant = {
  method: 'POST',
  path: '/api/v1/orgs',
  auth: ADMIN,
  summary: 'Makes an organisation.',
  query: noQuery,
  body: z.strictObject({ name: z.string().min(1).max(64) }),
  reply: tenant,
  produces: 'application/json',
} as const satisfies Route;

export const listTenants = {
  method: 'GET',
  path: '/api/v1/orgs',
  auth: ADMIN,
  summary: 'The organisations of this site.',
  query: noQuery,
  body: null,
  reply: z.object({ orgs: z.array(tenant) }),
  produces: 'application/json',
} as const satisfies Route;

const approval = z
  .object({
    id: z.string(),
    purpose: z.string(),
    role: z.enum(ROLES).describe('the role in which it was given'),
    giver: z.string().describe('the key that gave it'),
    tenant: z.string(),
    caller: z.string().nullable().describe('the one key that may use it; null for all of the organisation'),
    reason: z.string().nullable(),
    created: z.int(),
    until: z.int(),
    revoked: z.int().nullable(),
    state: z.enum(['live', 'expired', 'revoked']),
  })
  .meta({ id: 'Approval' });

export const giveApproval = {
  method: 'POST',
  path: '/api/v1/approvals',
  auth: 'any-key',
  summary: 'Approves a purpose for a key or an organisation; needs the role that the bundle names for it.',
  query: noQuery,
  body: z.strictObject({
    purpose: z.string().min(1).max(MAX_ID_CHARS),
    tenant: z.string().max(MAX_ID_CHARS).optional().describe('the organisation that may use it'),
    caller: z.string().max(MAX_ID_CHARS).optional().describe('the key that may use it, in place of tenant'),
    hours: z.number().int().min(1).optional().describe('the most that the bundle allows when absent'),
    reason: z.string().max(MAX_REASON_CHARS).optional().describe('for people; it never enters the log'),
  }),
  reply: approval,
  produces: 'application/json',
} as const satisfies Route;

export const listApprovals = {
  method: 'GET',
  path: '/api/v1/approvals',
  auth: 'any-key',
  summary: 'The approvals that the key may know of: those that hold, or with all=true the newest.',
  query: z.strictObject({ all: z.enum(['true', 'false']).optional() }),
  body: null,
  reply: z.object({ approvals: z.array(approval) }),
  produces: 'application/json',
} as const satisfies Route;

export const revokeApproval = {
  method: 'DELETE',
  path: '/api/v1/approvals/{id}',
  auth: 'any-key',
  summary: 'Takes an approval back at once; needs its role, or admin.',
  query: noQuery,
  body: null,
  reply: approval,
  produces: 'application/json',
} as const satisfies Route;
