import type { Guard } from './types.ts';

/** The guards that can be taken out; `answers` is the part of `address` that judges names' answers before connecting. */
export type Removable = Guard | 'answers';

/** Which guards hold. Outside tests all of them do. */
export interface Guards {
  on(guard: Removable): boolean;
}

export const ALL_GUARDS: Guards = { on: () => true };
