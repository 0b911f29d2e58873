import type { Transport } from '../crossing/road.ts';
import type { EgressRequest } from '../egress/types.ts';
import type { ChatRequest } from './chat/request.ts';

/** One model at one provider, ready to be asked. */
export interface Endpoint {
  /** `provider/model` */
  readonly id: string;
  /** True for a model that this machine runs: no socket leads to it. */
  readonly local: boolean;
  readonly transport: Transport;
  /**
   * The request as this provider wants it.
   * @throws Fault `gateway.unsupported_parameter` for what it cannot honour.
   */
  prepareChat(chat: ChatRequest): EgressRequest & { readonly body: Buffer };
}
