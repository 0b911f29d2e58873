import type { EgressHandler } from '../../egress/types.ts';
import type { Reply } from '../exchange.ts';
import type { Failure } from './outcome.ts';

/** An attempt that gave no good answer; `http` is the provider's status, null before a head. */
export interface RelayedFailure {
  readonly kind: 'failed';
  readonly http: number | null;
  readonly failure: Failure;
}

/** What an attempt gave, before the last bytes went to the client. */
export type Relayed =
  | { readonly kind: 'answered'; readonly http: number; readonly body: Buffer }
  | { readonly kind: 'streamed'; readonly http: number; readonly terminal: Buffer }
  | RelayedFailure
  | { readonly kind: 'client-gone'; readonly http: number | null };

/** Byte counts of one attempt. */
export interface Traffic {
  received: number;
}

/** A handler that turns one provider's answer into a settled `Relayed`. */
export interface Relay {
  readonly handler: EgressHandler;
  readonly settled: Promise<Relayed>;
  readonly traffic: Traffic;
  /** True once bytes of this attempt went to the client. */
  begun(): boolean;
  clientGone(): void;
}

export interface RelayContext {
  readonly endpoint: string;
  readonly reply: Reply;
  /** Sends the reply's head; called at most once, before the first body byte. */
  readonly begin: () => void;
  /** Sees every byte handed to the client. */
  readonly committed: (bytes: Buffer) => void;
  /** The answer is whole; what the provider still sends is of no use. */
  readonly answered: () => void;
  readonly resume: () => void;
  readonly abort: () => void;
}
