/** What the database's worker is started with. */
export interface WorkerStart {
  readonly path: string;
  /** Milliseconds after which an interactive transaction that asks for nothing is rolled back. */
  readonly transactionIdleMs: number;
}

export type SqlValue = null | number | bigint | string | Uint8Array;

/** `session` names an interactive transaction; null is a statement of its own. */
export type WorkerRequest =
  | { readonly id: number; readonly op: 'read'; readonly sql: string; readonly values: readonly SqlValue[] }
  | {
      readonly id: number;
      readonly op: 'write';
      readonly sql: string;
      readonly values: readonly SqlValue[];
      readonly session: number | null;
    }
  | { readonly id: number; readonly op: 'begin' | 'commit' | 'rollback'; readonly session: number }
  | { readonly id: number; readonly op: 'scrub' }
  | { readonly id: number; readonly op: 'close' };

export interface StatementResult {
  readonly rows: readonly unknown[];
  /** Null for a statement that returns rows. */
  readonly changes: number | null;
  readonly lastId: number | null;
}

/** SQLite's message and extended result code; code null when the failure is not SQLite's. */
export interface SqliteFailure {
  readonly message: string;
  readonly code: number | null;
}

export type WorkerReply =
  | { readonly id: number; readonly result: StatementResult }
  | { readonly id: number; readonly failure: SqliteFailure };

/** `last` says that the worker has closed its database and answers no more. */
export interface WorkerReplies {
  readonly replies: readonly WorkerReply[];
  readonly last: boolean;
}

export const NO_RESULT: StatementResult = { rows: [], changes: null, lastId: null };
