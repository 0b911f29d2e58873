import type { Transport } from '../crossing/road.ts';
import type { ChatRequest } from './chat/request.ts';
import type { EmbeddingsRequest } from './embeddings/request.ts';
import type { PreparedRequest } from './dispatch/operation.ts';

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
  prepareChat(chat: ChatRequest): PreparedRequest;
  /** As `prepareChat`. */
  prepareEmbeddings(asked: EmbeddingsRequest): PreparedRequest;
}
