import type { SiteEvent } from './types.ts';

/** Why a log's key is replaced; after `compromise` nothing is believed any more because that key signed it. */
export const REASONS = ['scheduled', 'compromise'] as const;
export type RotationReason = (typeof REASONS)[number];

/** How a log ends; `successor` is the vkey of the log after it, null where the ending key may not speak for another. */
export interface LogEnd {
  /** `o_` and 26 characters; both leaves of one rotation have it. */
  readonly id: string;
  readonly reason: RotationReason;
  readonly successor: string | null;
}

/** The log that another one continues, with its last signed note. */
export interface Predecessor {
  readonly origin: string;
  readonly vkey: string;
  readonly checkpoint: string;
}

/** What the first leaf of a log says of the one before it. */
export interface LogBeginning {
  readonly reason: string;
  readonly predecessor: Predecessor;
}

/** The last leaf of a log. */
export function endedLeaf({ id, reason, successor }: LogEnd): SiteEvent {
  return { kind: 'rotation', id, event: 'ended', reason, successor };
}

/** The first leaf of the log after it. */
export function beganLeaf({ id, reason }: LogEnd, { origin, vkey, checkpoint }: Predecessor): SiteEvent {
  return { kind: 'rotation', id, event: 'began', reason, predecessor: { origin, vkey, checkpoint } };
}

/** Null for any other leaf than the one that ends a log. */
export function readEnd(entry: Buffer): LogEnd | null {
  const leaf = rotationOf(entry, 'ended');
  if (leaf === null) return null;
  const { id, reason, successor } = leaf;
  const known = REASONS.find((one) => one === reason);
  if (typeof id !== 'string' || known === undefined) return null;
  return { id, reason: known, successor: typeof successor === 'string' ? successor : null };
}

/** Null for any other leaf than the one that a successor begins with. The bytes may be anybody's. */
export function readBeginning(entry: Buffer): LogBeginning | null {
  const leaf = rotationOf(entry, 'began');
  const before = leaf?.['predecessor'];
  if (leaf === null || !isMembers(before)) return null;
  const { origin, vkey, checkpoint } = before;
  if (typeof origin !== 'string' || typeof vkey !== 'string' || typeof checkpoint !== 'string') return null;
  return { reason: String(leaf['reason']), predecessor: { origin, vkey, checkpoint } };
}

type Members = Readonly<Record<string, unknown>>;

function rotationOf(entry: Buffer, event: 'ended' | 'began'): Members | null {
  // A log has one or two of these among millions of others.
  if (!entry.includes('"rotation"')) return null;
  try {
    const leaf: unknown = JSON.parse(entry.toString('utf8'));
    return isMembers(leaf) && leaf['kind'] === 'rotation' && leaf['event'] === event ? leaf : null;
  } catch {
    return null;
  }
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null;
}
