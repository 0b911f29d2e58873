import type { CountedFacts, WhatIf } from '../../policy/what-if.ts';

/** What the worker decides. */
export interface WhatIfTask {
  /** Canonical bytes. */
  readonly running: Uint8Array;
  /** The text of a bundle file, signed or not. */
  readonly given: string;
  readonly counted: readonly CountedFacts[];
  /** ms since 1970. */
  readonly now: number;
}

export type WhatIfAnswer =
  | { readonly kind: 'done'; readonly given: string; readonly answer: WhatIf }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };
