import type { EgressRequest } from '../../egress/types.ts';
import type { Endpoint } from '../endpoint.ts';

/** The family of paths by which a request came; leaves name it. */
export type Surface = 'openai' | 'azure';

export type PreparedRequest = EgressRequest & { readonly body: Buffer };

/** What a caller wants of a model, whichever endpoint will do it. */
export interface Operation {
  readonly surface: Surface;
  /** The caller's name of the model. */
  readonly model: string;
  readonly stream: boolean;
  /** Bytes of the longest plain answer that can be right; it is held whole. */
  readonly longest: number;
  /**
   * The request as this endpoint wants it.
   * @throws Fault `gateway.unsupported_parameter` for what it cannot honour.
   */
  prepare(endpoint: Endpoint): PreparedRequest;
  /** The caller's answer from a provider's plain one; null when that is not the answer asked for. */
  readonly read: (body: Buffer) => Buffer | null;
}
