import type { Stage } from './stage.ts';
import type { Finding, Text } from './types.ts';

export type Outcome = 'pass' | 'fail' | 'not-applicable' | 'suite-error';

/** A way out, and how the suite tries it. */
export interface Case {
  readonly id: string;
  readonly number: number;
  /** Date of the last change to what it does. */
  readonly version: string;
  readonly title: Text;
  /** Why it is real, with its source. */
  readonly why: Text;
  readonly source: string;
  readonly how: Text;
  readonly check: Text;
  /** Needs a target that the suite configures. */
  readonly configures: boolean;
  /** The try itself, or why there is nothing to try. */
  readonly run: ((stage: Stage) => Promise<void>) | Text;
}

export interface Result {
  readonly case: Case;
  outcome: Outcome;
  /** Of `not-applicable` and `suite-error`. */
  reason: Text | null;
  readonly findings: Finding[];
  /** Requests that were sent to the gateway. */
  attempts: number;
  ms: number;
}
