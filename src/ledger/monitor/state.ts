import { hash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, type Json } from '../../core/canonical-json.ts';
import { Fault } from '../../core/fault.ts';
import { openCheckpoint, readVkey } from '../note.ts';
import { HASH_BYTES, hashToBase64, type TreeHash } from '../tree.ts';
import { decodeBase64 } from '../verify/base64.ts';
import { Defect } from '../verify/findings.ts';
import { subtreeCount } from './compact-tree.ts';

/** An allowed decision that has no outcome yet; `since` in ms since 1970. */
export interface OpenDecision {
  readonly index: number;
  readonly rid: string;
  readonly attempt: number;
  readonly since: number;
}

/** How far the entries of a log were read, and what is open after them. */
export interface Reading {
  readonly size: number;
  readonly nodes: readonly TreeHash[];
  readonly open: readonly OpenDecision[];
  /** The vkey of the log that follows, where the last leaf says that this one has ended and names it. */
  readonly successor: string | null;
}

/** A log that was never asked, at `now` in ms since 1970. */
export function newLogState(vkey: string, after: string | null, now: number): LogState {
  return { vkey, after, checkpoint: null, since: now, fork: null, reading: NOTHING_READ };
}

/** What is remembered of one log. */
export interface LogState {
  readonly vkey: string;
  /** The vkey of the log that named this one its successor; null for one whose key was given. */
  readonly after: string | null;
  /** The signed note of the largest tree that was seen and found consistent; null before the first. */
  readonly checkpoint: string | null;
  /** When that note was new, or before the first when the log was first asked, in ms since 1970. */
  readonly since: number;
  /** The file with the proof of a fork. */
  readonly fork: string | null;
  readonly reading: Reading;
}

export const NOTHING_READ: Reading = { size: 0, nodes: [], open: [], successor: null };
/** Logs that are followed at once; a site has one, and another for each time that its key was changed. */
export const MAX_LOGS = 64;

const count = z.int().min(0);
const node = z.string().transform((text, context) => {
  const bytes = decodeBase64(text);
  if (bytes?.length === HASH_BYTES) return Buffer.from(bytes).toString('latin1');
  context.addIssue('expected base64 of 32 bytes');
  return z.NEVER;
});
const schema = z.strictObject({
  v: z.literal(1),
  logs: z
    .array(
      z.strictObject({
        vkey: z.string(),
        after: z.string().nullable(),
        checkpoint: z.string().nullable(),
        since: count,
        fork: z.string().nullable(),
        reading: z
          .strictObject({
            size: count,
            nodes: z.array(node),
            open: z.array(z.strictObject({ index: count, rid: z.string(), attempt: count, since: count })),
            successor: z.string().nullable(),
          })
          .refine(({ size, nodes }) => nodes.length === subtreeCount(size)),
      }),
    )
    .max(MAX_LOGS),
  sum: z.string(),
});

/** The text of a state file; its `sum` is the SHA-256 of the rest in canonical form. */
export function formatState(logs: readonly LogState[]): string {
  const shown = {
    v: 1,
    logs: logs.map((log) => ({
      ...log,
      reading: {
        ...log.reading,
        nodes: log.reading.nodes.map(hashToBase64),
        open: log.reading.open.map((one) => ({ ...one })),
      },
    })),
  };
  return `${JSON.stringify({ ...shown, sum: sumOf(shown) })}\n`;
}

/**
 * Reads what `formatState` wrote.
 * @throws Fault `ledger.monitor_state` when it was damaged or changed, with the way out.
 */
export async function parseState(text: string, file: string): Promise<readonly LogState[]> {
  const shown = jsonOf(text);
  const read = schema.safeParse(shown);
  // What was parsed is JSON.
  const { sum, ...rest } = (read.success ? shown : {}) as { readonly [name: string]: Json };
  if (!read.success || sum !== sumOf(rest)) throw damaged(file, 'it is not what the monitor wrote');
  for (const log of read.data.logs) {
    if (log.checkpoint === null) continue;
    const head = await openCheckpoint(log.checkpoint, readVkey(log.vkey));
    if (head instanceof Defect) throw damaged(file, head.message);
  }
  return read.data.logs;
}

function sumOf(shown: Json): string {
  return `sha256:${hash('sha256', canonicalJson(shown))}`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function damaged(file: string, why: string): Fault {
  const fix =
    'Put back a copy of it; without one, look at the log with "sekisho ledger check", then move the file away and begin anew: what it had seen cannot be compared any more';
  return new Fault('invalid', 'ledger.monitor_state', `the state ${file} is damaged: ${why}. ${fix}`);
}
