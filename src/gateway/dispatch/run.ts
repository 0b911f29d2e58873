import type { Attempt, Road } from '../../crossing/road.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { Gateway } from '../govern.ts';
import type { Operation, PreparedRequest } from './operation.ts';

/** One attempt on its way, with everything that its end needs. */
export interface Run {
  readonly gateway: Gateway;
  readonly exchange: Exchange;
  readonly road: Road;
  readonly operation: Operation;
  readonly attempt: Attempt;
  readonly endpoint: Endpoint;
  readonly request: PreparedRequest;
  readonly commitment: { update(bytes: Uint8Array): void; digest(): string };
  readonly tried: readonly string[];
}
