import { z } from 'zod';
import type { Route } from '../../core/route.ts';

/**
 * Why something was erased, as the leaf says it: no longer needed (APPI article 22), asked for by the person
 * (article 35), owed under a contract, or ordered by a court or an authority.
 */
export const GROUNDS = ['appi-22', 'appi-35', 'contract', 'order'] as const;
export type Ground = (typeof GROUNDS)[number];

export const postErasure = {
  method: 'POST',
  path: '/api/v1/erasures',
  auth: ['admin', 'owner'],
  summary: 'Destroys what opens a request’s commitments, for good. An owner, for the own organisation only.',
  query: z.strictObject({}),
  body: z.strictObject({
    rid: z.string().max(64).describe('the receipt id'),
    ground: z.enum(GROUNDS),
  }),
  reply: z
    .object({
      id: z.string(),
      rid: z.string(),
      ground: z.enum(GROUNDS),
      t: z.int(),
      by: z.string().describe('the key that erased'),
      leaf: z.int().nullable().describe('the index of its leaf'),
    })
    .meta({ id: 'Erasure' }),
  produces: 'application/json',
} as const satisfies Route;

export const postErasureBatch = {
  method: 'POST',
  path: '/api/v1/erasures/batch',
  auth: ['admin', 'owner'],
  summary:
    'Erases the requests of an organisation, those of days before a date, or both. An owner, for the own organisation only.',
  query: z.strictObject({}),
  body: z
    .strictObject({
      tenant: z.string().min(1).max(64).optional().describe('the id of an organisation'),
      before: z.iso.date().optional().describe('the first day that stays, in UTC; today at the latest'),
      ground: z.enum(GROUNDS),
      dryRun: z.boolean().default(false).describe('tells what would be erased, and erases nothing'),
    })
    .refine(
      ({ tenant, before }) => tenant !== undefined || before !== undefined,
      'expected tenant, before, or both',
    ),
  reply: z
    .object({
      id: z.string().nullable().describe('null when there was nothing to erase, and for a dry run'),
      ground: z.enum(GROUNDS),
      requests: z.int().describe('requests that could still be opened'),
      running: z.int().describe('requests that had not ended, and stay'),
      dayKeys: z.int().describe('keys of whole days that were destroyed'),
      leaf: z.int().nullable().describe('the index of its leaf'),
    })
    .meta({ id: 'ErasureBatch' }),
  produces: 'application/json',
} as const satisfies Route;
