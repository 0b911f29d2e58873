import { Fault } from '../core/fault.ts';
import type { RoadLeaf } from './leaf.ts';

/** What the log itself needs to know of a leaf. */
export type LeafFacts =
  | {
      readonly kind: 'decision';
      readonly rid: string;
      readonly attempt: number;
      readonly t: number;
      readonly allowed: boolean;
      readonly hasRequest: boolean;
    }
  | {
      readonly kind: 'outcome';
      readonly rid: string;
      readonly attempt: number;
      readonly t: number;
      readonly attempts: number | null;
      readonly hasResponse: boolean;
    }
  | { readonly kind: 'site'; readonly id: string; readonly t: number };

/** What `readLeaf` would say of the leaf's bytes. */
export function factsOfLeaf(leaf: RoadLeaf): LeafFacts {
  const { rid, attempt, t } = leaf;
  if (leaf.kind === 'outcome') {
    const { attempts = null, c } = leaf;
    return { kind: leaf.kind, rid, attempt, t, attempts, hasResponse: c.res !== null };
  }
  const { effect, c } = leaf;
  return { kind: leaf.kind, rid, attempt, t, allowed: effect === 'allow', hasRequest: c.req !== null };
}

/** @throws Fault `ledger.bad_leaf` for bytes that are no leaf. */
export function readLeaf(entry: Buffer): LeafFacts {
  const leaf = members(parse(entry));
  const t = integer(leaf, 't');
  const { kind } = leaf;
  if (kind !== 'decision' && kind !== 'outcome') return { kind: 'site', id: text(leaf, 'id'), t };
  const road = { rid: text(leaf, 'rid'), attempt: integer(leaf, 'attempt'), t };
  const { req, res } = members(leaf['c']);
  if (kind === 'decision')
    return { kind, ...road, allowed: leaf['effect'] === 'allow', hasRequest: typeof req === 'string' };
  const attempts = leaf['attempts'] === undefined ? null : integer(leaf, 'attempts');
  return { kind, ...road, attempts, hasResponse: typeof res === 'string' };
}

type Members = Readonly<Record<string, unknown>>;

function parse(entry: Buffer): unknown {
  try {
    return JSON.parse(entry.toString('utf8'));
  } catch (cause) {
    throw new Fault('invalid', 'ledger.bad_leaf', 'a leaf is a JSON object', { cause });
  }
}

function members(value: unknown): Members {
  if (isMembers(value)) return value;
  throw new Fault('invalid', 'ledger.bad_leaf', 'a leaf is a JSON object');
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null;
}

function integer(leaf: Members, name: string): number {
  const value = leaf[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Fault('invalid', 'ledger.bad_leaf', `a leaf has an integer "${name}"`);
}

function text(leaf: Members, name: string): string {
  const value = leaf[name];
  if (typeof value === 'string') return value;
  throw new Fault('invalid', 'ledger.bad_leaf', `a leaf has a text "${name}"`);
}
