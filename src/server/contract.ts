import { z } from 'zod';
import type { Route } from '../core/route.ts';

const noQuery = z.strictObject({});

export const getHealth = {
  method: 'GET',
  path: '/healthz',
  auth: 'public',
  summary: 'Alive.',
  query: noQuery,
  body: null,
  reply: z.object({ status: z.literal('alive') }),
  produces: 'application/json',
} as const satisfies Route;

export const readiness = z
  .object({
    ready: z.boolean(),
    checks: z.array(
      z.object({ name: z.string(), state: z.enum(['ok', 'warning', 'failing']), detail: z.string() }),
    ),
  })
  .meta({ id: 'Readiness' });

export const getReady = {
  method: 'GET',
  path: '/readyz',
  auth: 'public',
  summary: 'Whether requests can be answered, and what is missing.',
  query: noQuery,
  body: null,
  reply: readiness,
  produces: 'application/json',
} as const satisfies Route;

export const getMetrics = {
  method: 'GET',
  path: '/metrics',
  auth: ['operator'],
  summary: 'Counters in the Prometheus text format.',
  query: noQuery,
  body: null,
  reply: null,
  produces: 'text/plain; version=0.0.4; charset=utf-8',
} as const satisfies Route;

export const getOpenApi = {
  method: 'GET',
  path: '/api/v1/openapi.json',
  auth: 'public',
  summary: 'This description.',
  query: noQuery,
  body: null,
  reply: z.looseObject({ openapi: z.string() }),
  produces: 'application/json',
} as const satisfies Route;
