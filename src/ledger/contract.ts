import { z } from 'zod';
import type { Route } from '../core/route.ts';

const noQuery = z.strictObject({});

/** The longest that `?wait=` may ask for, in seconds. */
export const MAX_WAIT_SECONDS = 60;

const receiptEntry = z.object({
  index: z.int().min(0),
  entry: z.string().describe('base64 of the exact bytes of the leaf'),
  path: z.array(z.string()),
});

export const receiptSchema = z
  .object({
    v: z.literal(1),
    id: z.string(),
    origin: z.string(),
    level: z.enum(['logged', 'witnessed', 'anchored']),
    state: z.enum(['open', 'closed']),
    erased: z.literal(true).optional().describe('nothing opens its commitments any more'),
    checkpoint: z.string(),
    attempts: z.array(z.object({ decision: receiptEntry, outcome: receiptEntry.nullable() })),
    open: z
      .object({ in: z.string().optional(), req: z.string().optional(), res: z.string().optional() })
      .optional(),
  })
  .meta({ id: 'Receipt' });

export const getReceipt = {
  method: 'GET',
  path: '/v1/receipts/{id}',
  auth: 'any-key',
  summary: 'The receipt of a request, as JSON, or one leaf of it as a C2SP tlog-proof (text/plain).',
  query: z.strictObject({
    wait: z.coerce.number().min(0).max(MAX_WAIT_SECONDS).optional(),
    leaf: z.enum(['decision', 'outcome']).optional(),
    attempt: z.coerce.number().int().min(1).max(1000).optional(),
  }),
  body: null,
  reply: receiptSchema,
  produces: 'application/json',
} as const satisfies Route;

export const listLogs = {
  method: 'GET',
  path: '/ledger',
  auth: 'public',
  summary: 'The transparency logs of this site.',
  query: noQuery,
  body: null,
  reply: z.object({
    logs: z.array(
      z.object({
        origin: z.string(),
        vkey: z.string(),
        url: z.string(),
        ended: z.boolean().describe('true for a log whose key was replaced; the one at work is first'),
      }),
    ),
  }),
  produces: 'application/json',
  crossOrigin: true,
} as const satisfies Route;

export const getCheckpoint = {
  method: 'GET',
  path: '/ledger/{log}/checkpoint',
  auth: 'public',
  summary: 'The signed checkpoint (C2SP tlog-checkpoint).',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'text/plain; charset=utf-8',
  crossOrigin: true,
} as const satisfies Route;

export const getEntries = {
  method: 'GET',
  path: '/ledger/{log}/tile/entries/{rest+}',
  auth: ['auditor'],
  summary: 'An entry bundle (C2SP tlog-tiles). It shows the traffic of every tenant.',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'application/octet-stream',
} as const satisfies Route;

export const getTile = {
  method: 'GET',
  path: '/ledger/{log}/tile/{rest+}',
  auth: 'public',
  summary: 'A tile of hashes (C2SP tlog-tiles).',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'application/octet-stream',
  crossOrigin: true,
} as const satisfies Route;
