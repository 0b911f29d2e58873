import type { Attempt, Road } from '../../crossing/road.ts';
import type { EgressRequest } from '../../egress/types.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { Gateway } from '../govern.ts';
import type { ChatRequest } from './request.ts';

/** One attempt on its way, with everything that its end needs. */
export interface Run {
  readonly gateway: Gateway;
  readonly exchange: Exchange;
  readonly road: Road;
  readonly chat: ChatRequest;
  readonly attempt: Attempt;
  readonly endpoint: Endpoint;
  readonly request: EgressRequest & { readonly body: Buffer };
  readonly commitment: { update(bytes: Uint8Array): void; digest(): string };
  readonly tried: readonly string[];
}
