import type { ChatRequest } from '../chat/request.ts';
import type { EmbeddingsRequest } from '../embeddings/request.ts';
import { LLAMA_EMBEDDINGS, parseLlamaEmbeddings } from '../llama/embeddings.ts';
import { parseLlamaRequest } from '../llama/request.ts';
import type { PreparedRequest } from '../dispatch/operation.ts';

/**
 * A chat request as the local engine takes it: the caller's members, unchanged.
 * @throws Fault `gateway.unsupported_parameter`, `gateway.invalid_request` naming the parameter.
 */
export function prepareLlamaChat(chat: ChatRequest, timeoutMs: number): PreparedRequest {
  parseLlamaRequest(chat.body);
  return prepared('/chat/completions', chat.body, timeoutMs);
}

/**
 * An embeddings request as the local engine takes it: the caller's members, unchanged.
 * @throws Fault `gateway.unsupported_parameter`, `gateway.invalid_request` naming the parameter.
 */
export function prepareLlamaEmbeddings(asked: EmbeddingsRequest, timeoutMs: number): PreparedRequest {
  parseLlamaEmbeddings(asked.body);
  return prepared(LLAMA_EMBEDDINGS, asked.body, timeoutMs);
}

function prepared(path: string, body: object, timeoutMs: number): PreparedRequest {
  return { method: 'POST', path, headers: {}, body: Buffer.from(JSON.stringify(body)), timeoutMs };
}
