import { z } from 'zod';
import type { Route } from '../../core/route.ts';
import { MAX_SIGNED_BYTES } from '../signed-bundle.ts';

/** For so long facts are kept. */
export const MAX_DAYS = 90;
const MAX_TEXT = 512;

const replayed = z.object({
  effect: z.enum(['allow', 'deny']),
  endpoint: z.string().nullable(),
  rules: z.array(z.string()),
});

/** What another bundle would have decided, over the decisions that were kept. */
export const whatIfReply = z
  .object({
    bundle: z.object({ running: z.string(), given: z.string() }),
    days: z.int(),
    decisions: z.int(),
    changed: z.int(),
    sets: z.int().describe('distinct sets of facts that were decided'),
    missed: z
      .int()
      .describe('decisions of these days that are in no row, dropped under load or by a full disk'),
    unexamined: z.int().describe('decisions from sets of facts beyond the number that is looked at'),
    inexact: z.array(z.string()).describe('policies that name a single key, which facts do not hold'),
    groups: z.array(
      z.object({
        model: z.string(),
        label: z.string(),
        purpose: z.string().nullable(),
        from: replayed,
        to: replayed,
        count: z.int(),
        requests: z.array(z.string()).describe('ids of the latest, of those that the caller may see'),
      }),
    ),
  })
  .meta({ id: 'PolicyWhatIf' });

export const postWhatIf = {
  method: 'POST',
  path: '/api/v1/policy/what-if',
  auth: ['policy-signer', 'auditor', 'operator'],
  summary: 'Which recorded decisions another bundle would change. Changes nothing.',
  query: z.strictObject({
    days: z.coerce.number().int().min(1).max(MAX_DAYS).default(MAX_DAYS),
  }),
  body: z.string().min(1).describe('a bundle file, signed or not'),
  text: { maxBytes: MAX_SIGNED_BYTES },
  reply: whatIfReply,
  produces: 'application/json',
} as const satisfies Route;

const change = z.object({ fact: z.string(), to: z.string(), ja: z.string(), en: z.string() });

/** Why each endpoint of a model answers as it does. */
export const explainReply = z
  .object({
    model: z.string(),
    label: z.string(),
    raised: z.boolean().describe('the label that was asked for lies below the floor, which holds'),
    purpose: z.string().nullable(),
    approval: z
      .object({ role: z.string(), hours: z.int(), given: z.boolean() })
      .nullable()
      .describe('what the purpose needs before any rule is looked at'),
    roles: z.array(z.string()),
    bundle: z.string(),
    recorded: z
      .object({
        rid: z.string(),
        t: z.int(),
        bundle: z.string(),
        effect: z.enum(['allow', 'deny']),
        endpoint: z.string().nullable(),
      })
      .nullable(),
    endpoints: z.array(
      z.object({
        endpoint: z.string(),
        effect: z.enum(['allow', 'deny']),
        rules: z.array(z.string()),
        reasons: z.array(z.object({ policy: z.string(), ja: z.string(), en: z.string() })),
        ways: z.array(
          z.object({ scope: z.enum(['request', 'governance', 'both']), changes: z.array(change) }),
        ),
      }),
    ),
  })
  .meta({ id: 'PolicyExplanation' });

export const getExplain = {
  method: 'GET',
  path: '/api/v1/policy/explain',
  auth: ['caller', 'policy-signer', 'auditor', 'operator'],
  summary: 'Why each endpoint of a model allows or denies, and what would make it allow.',
  query: z.strictObject({
    model: z.string().max(MAX_TEXT).optional(),
    label: z.string().max(MAX_TEXT).optional(),
    purpose: z.string().max(MAX_TEXT).optional(),
    roles: z.string().max(MAX_TEXT).optional().describe('comma-separated; the caller’s own when absent'),
    rid: z.string().max(MAX_TEXT).optional().describe('a recorded decision, instead of the rest'),
  }),
  body: null,
  reply: explainReply,
  produces: 'application/json',
} as const satisfies Route;
