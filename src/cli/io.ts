import type { Env } from '../core/env.ts';

/** What a command may touch of the world outside. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** True when standard error is a terminal: progress and colours only there. */
  readonly terminal: boolean;
  readonly env: Env;
  readonly signal: AbortSignal;
}

/** A message in both languages. */
export interface Text {
  readonly ja: string;
  readonly en: string;
}

export function say(io: Pick<Io, 'env'>, text: Text): string {
  return text[io.env.locale];
}

/** Says what is wrong with how a command was called. */
export function misuse(io: Pick<Io, 'env' | 'err'>, text: Text): number {
  io.err(`sekisho: ${say(io, text)}\n`);
  return USAGE;
}

/** Exit codes of every command. */
export const OK = 0;
export const FAILED = 1;
export const USAGE = 2;
