import { dispatch } from '../dispatch/dispatch.ts';
import type { Exchange } from '../exchange.ts';
import type { Gateway } from '../govern.ts';
import { isRecord } from '../json-body.ts';
import type { Surface } from '../dispatch/operation.ts';
import { parseChat } from './request.ts';

/** Bytes; what exceeds this is no chat completion. */
export const LONGEST_COMPLETION = 32 * 1024 * 1024;

/** `POST /v1/chat/completions` and its kin, plain and streamed. `named` is the model that the path names, if it does. */
export async function chatCompletions(
  gateway: Gateway,
  exchange: Exchange,
  surface: Surface,
  named: string | null = null,
): Promise<void> {
  const chat = parseChat(exchange.body, named);
  await dispatch(gateway, exchange, {
    surface,
    model: chat.model,
    stream: chat.stream,
    longest: LONGEST_COMPLETION,
    prepare: (endpoint) => endpoint.prepareChat(chat),
    read: readCompletion,
  });
}

/** A chat completion as it came; null for anything else. */
export function readCompletion(body: Buffer): Buffer | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    const good = isRecord(value) && value['object'] === 'chat.completion' && Array.isArray(value['choices']);
    return good ? body : null;
  } catch {
    return null;
  }
}
