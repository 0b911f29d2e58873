import { canonicalJson, type Json } from '../core/canonical-json.ts';
import { decisionText, outcomeText } from './leaf-text.ts';

/** Confidentiality 1 to 3 (機密性1/2/3情報) and the categories of the data. */
export interface LeafLabel {
  readonly conf: 1 | 2 | 3;
  readonly categories: readonly string[];
}

/** One endpoint that the decision looked at; `record` is the digest of its residency record. */
export interface LeafConsidered {
  readonly endpoint: string;
  readonly record: string;
  readonly effect: 'allow' | 'deny';
  readonly rules: readonly string[];
}

/** Where an allowed request goes, as a signed record declared it. `expires` in ms since 1970. */
export interface LeafDestination {
  readonly endpoint: string;
  readonly operator: string;
  readonly country: string;
  readonly posture: string;
  readonly selfDeclared: boolean;
  readonly expires: number;
}

/** A decision leaf; `c` holds keyed commitments in base64. Times in ms since 1970. */
export interface DecisionLeaf {
  readonly v: 1;
  readonly kind: 'decision';
  readonly rid: string;
  readonly attempt: number;
  readonly prev: number | null;
  readonly t: number;
  readonly log: string;
  readonly bundle: string;
  readonly action: string;
  readonly surface: string;
  readonly model: string;
  readonly label: LeafLabel;
  readonly purpose: string | null;
  readonly effect: 'allow' | 'deny';
  readonly considered: readonly LeafConsidered[];
  readonly to: LeafDestination | null;
  readonly c: {
    readonly in: string;
    readonly req: string | null;
    readonly caller: string;
    readonly tenant: string;
  };
}

export type OutcomeStatus =
  | 'ok'
  | 'client-gone'
  | 'provider-error'
  | 'interrupted'
  | 'refused'
  | 'not-sent'
  | 'cancelled'
  | 'blocked'
  | 'unknown';

/** An outcome leaf; `in` and `out` are bucketed byte counts, `http` the provider's status. */
export interface OutcomeLeaf {
  readonly v: 1;
  readonly kind: 'outcome';
  readonly rid: string;
  readonly attempt: number;
  readonly of: number;
  readonly t: number;
  readonly status: OutcomeStatus;
  readonly code: string | null;
  readonly http: number | null;
  readonly observed: { readonly spki: string | null; readonly connectMs: number } | null;
  readonly in: number;
  readonly out: number;
  readonly c: { readonly res: string | null; readonly peer: string | null };
  /** Only on the road's last outcome: how many attempts the road had. */
  readonly attempts?: number;
}

/** A leaf that belongs to no road; `id` is unique, so that an append can be recognised after a crash. */
export interface SiteLeaf {
  readonly v: 1;
  readonly kind: 'bundle' | 'artifact' | 'control' | 'opening' | 'erasure' | 'rotation' | 'checkpoint-ref';
  readonly id: string;
  readonly t: number;
  readonly log: string;
  readonly [member: string]: unknown;
}

/** A leaf of a road. */
export type RoadLeaf = DecisionLeaf | OutcomeLeaf;
export type Leaf = RoadLeaf | SiteLeaf;

/** C2SP tlog-tiles: an entry's length is an unsigned 16-bit number. */
export const MAX_ENTRY_BYTES = 65_535;

/** The exact bytes of a leaf: RFC 8785 canonical JSON. @throws Fault `core.not_canonical`. */
export function encodeLeaf(leaf: Leaf): Buffer {
  if (leaf.kind === 'decision') return Buffer.from(decisionText(leaf));
  if (leaf.kind === 'outcome') return Buffer.from(outcomeText(leaf));
  // The members of a site leaf are open to its writer; canonicalJson refuses what is no JSON value.
  return Buffer.from(canonicalJson(leaf as Json));
}

/** 0 for 0, else the smallest power of two not below `bytes`, so that a size tells little about a prompt. */
export function bucket(bytes: number): number {
  return bytes <= 0 ? 0 : 2 ** Math.ceil(Math.log2(bytes));
}
