import type { OutcomeLeaf, RoadLeaf, SiteLeaf } from './leaf.ts';
import type { LogEnd } from './rotation.ts';

export type CommittedField = 'in' | 'req' | 'res' | 'caller' | 'tenant' | 'peer';
export type OpenedField = 'in' | 'req' | 'res';

/** The commitments of one road, all under its own random request key. Values are base64. */
export interface RoadKeys {
  readonly rid: string;
  commit(field: CommittedField, bytes: Uint8Array | string): string;
  /** A commitment over bytes that arrive in pieces. */
  commitStream(field: CommittedField): { update(bytes: Uint8Array): void; digest(): string };
}

/** Whose request a road is; stable ids, at most 64 ASCII characters each. */
export interface RoadOwner {
  readonly tenant: string;
  readonly caller: string;
}

/** A decision that was allowed and has no outcome yet. */
export interface UnfinishedDecision {
  readonly rid: string;
  readonly attempt: number;
  readonly index: number;
}

export interface ReceiptEntry {
  readonly index: number;
  readonly entry: string;
  readonly path: readonly string[];
}

/** A receipt as clients get it, without opening keys. */
export interface Receipt {
  readonly v: 1;
  readonly id: string;
  readonly origin: string;
  readonly level: 'logged';
  readonly state: 'open' | 'closed';
  /** Nothing opens its commitments any more. */
  readonly erased?: true;
  readonly checkpoint: string;
  readonly attempts: readonly { readonly decision: ReceiptEntry; readonly outcome: ReceiptEntry | null }[];
}

/** A leaf of no road before the log adds version, time and its own name. */
export interface SiteEvent {
  readonly kind: SiteLeaf['kind'];
  readonly id: string;
  readonly [member: string]: unknown;
}

/** A log of the site as others read it. */
export interface ServedLog {
  readonly origin: string;
  readonly logId: string;
  readonly vkey: string;
  /** True for one that takes no leaves any more, since its key was replaced. */
  readonly ended: boolean;
  /** The last signed checkpoint. */
  checkpoint(): Promise<string>;
  /** A tile or entry bundle by its C2SP path, or null. */
  tile(path: string): Promise<Buffer | null>;
}

/** Which requests are erased together: those of a tenant, those of days before `beforeDay` (since 1970, UTC), or both. */
export interface ErasureScope {
  readonly tenant: string | null;
  readonly beforeDay: number | null;
}

/** What of a scope can still be opened. */
export interface ErasureSurvey {
  /** Requests that have ended. */
  readonly requests: number;
  /** Those that have not, and stay. */
  readonly running: number;
  /** Lowest and highest index of the leaves of those that have ended; null without any. */
  readonly first: number | null;
  readonly last: number | null;
}

/** What was overwritten. */
export interface Erased {
  readonly requests: number;
  /** Keys of a tenant and day. */
  readonly dayKeys: number;
}

/** One leaf's C2SP tlog-proof text. */
export type LeafChoice = { readonly leaf: 'decision' | 'outcome'; readonly attempt: number | null };

/**
 * The site's transparency log. Every promise that resolves speaks of durable state. When the disk refuses, `append`
 * rejects with Fault kind `unavailable`, code `ledger.unavailable`, and goes on rejecting until `trouble()` is null.
 */
export interface Ledger extends AsyncDisposable {
  readonly origin: string;
  readonly logId: string;
  /** The log's public key as C2SP signed-note writes it: `<origin>+<hex id>+<base64 type and key>`. */
  readonly vkey: string;
  /** Draws the road's request key; it becomes durable no later than the first leaf appended with it. */
  openRoad(rid: string, owner: RoadOwner): RoadKeys;
  /**
   * Appends a decision or outcome leaf of a road; resolves with its index once it is durable. With `beside` a crash
   * keeps it and the leaf appended just before it in the same turn, or neither.
   */
  appendRoad(keys: RoadKeys, leaf: RoadLeaf, beside?: boolean): Promise<number>;
  /** Appends an outcome for a road of an earlier process, which has no keys here any more. */
  appendRecovered(leaf: OutcomeLeaf): Promise<number>;
  /** Appends a leaf of no road. */
  appendSite(leaf: SiteEvent): Promise<number>;
  /** The index of the site leaf with this id among those at or after `from`, or null. */
  findSite(id: string, from: number): Promise<number | null>;
  /** Every log of this site, the one at work first, then the ended ones, the latest first. */
  logs(): readonly ServedLog[];
  /**
   * Appends the leaf that ends this log; it takes no leaf afterwards, and the next opening begins its successor.
   * @throws Fault `ledger.road_open` while an allowed decision has no outcome.
   */
  end(end: LogEnd): Promise<void>;
  /** Number of durable leaves. */
  size(): number;
  /**
   * The time to write into the next leaf, in ms since 1970; never earlier than that of a leaf that is durable.
   * @throws Fault kind `unavailable`, code `ledger.clock_regression`, when the clock stepped back beyond the tolerance.
   */
  time(): number;
  /** Null when leaves can be appended, else why not. */
  trouble(): string | null;
  /** True when the last signed checkpoint is kept in a second place. */
  anchored(): boolean;
  unfinished(): Promise<readonly UnfinishedDecision[]>;
  /** Null for an unknown id. */
  owner(rid: string): Promise<RoadOwner | null>;
  receipt(rid: string): Promise<Receipt | null>;
  /** The keys that open the road's commitments, base64; a field that was never committed is left out. */
  opening(rid: string): Promise<Partial<Record<OpenedField, string>> | null>;
  /**
   * Overwrites the road's request key; resolves once that is durable. May be repeated. Its leaves and every proof stay.
   * @throws Fault `ledger.no_receipt`, `ledger.road_open`
   */
  erase(rid: string): Promise<void>;
  /** What `eraseAll` would find. */
  survey(scope: ErasureScope): Promise<ErasureSurvey>;
  /**
   * Overwrites the request keys of the scope's requests that had ended when the log had `size` leaves, and the key of
   * each day of a tenant of which nothing is left. May be repeated. `leaving` is awaited before keys are overwritten,
   * with the ids of their requests. @throws Fault `ledger.unavailable` when the disk refuses.
   */
  eraseAll(
    scope: ErasureScope,
    order: { readonly size: number; readonly leaving: (rids: readonly string[]) => Promise<void> },
  ): Promise<Erased>;
  /** `text/plain` C2SP tlog-proof of one leaf, or null. */
  proof(rid: string, choice: LeafChoice): Promise<string | null>;
  /** Resolves true when the road has closed, false after `ms`. */
  waitClosed(rid: string, ms: number, signal: AbortSignal): Promise<boolean>;
  /** The signed checkpoint over all durable leaves at most a second old. */
  checkpoint(): Promise<string>;
  /** A tile or entry bundle by its C2SP path (`tile/0/x001/234`, `tile/entries/000.p/5`), or null. */
  tile(path: string): Promise<Buffer | null>;
}
