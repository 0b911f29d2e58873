import type { EgressRequest } from '../../egress/types.ts';
import type { ChatRequest } from '../chat/request.ts';
import { parseLlamaRequest } from '../llama/request.ts';

/**
 * A chat request as the local engine takes it: the caller's members, unchanged.
 * @throws Fault `gateway.unsupported_parameter`, `gateway.invalid_request` naming the parameter.
 */
export function prepareLlamaChat(chat: ChatRequest, timeoutMs: number): EgressRequest & { body: Buffer } {
  parseLlamaRequest(chat.body);
  return {
    method: 'POST',
    path: '/chat/completions',
    headers: {},
    body: Buffer.from(JSON.stringify(chat.body)),
    timeoutMs,
  };
}
