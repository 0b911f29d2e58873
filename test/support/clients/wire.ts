import assert from 'node:assert/strict';
import { validateReply } from '../openai-schema.ts';
import type { ClientError, ClientResult, Said, ToolCall, Usage } from './client.ts';

/** What the openai clients for Node and Python give: the members of replies under their own names. */
export interface WireResult {
  readonly receipt?: string | null;
  readonly reply?: unknown;
  readonly chunks?: readonly unknown[];
  readonly models?: readonly unknown[];
  readonly vectors?: readonly (readonly number[])[];
  readonly error?: ClientError;
}

/** Reads a result; every reply and every piece of a stream must be as OpenAI describes it. */
export function readWire(result: WireResult): ClientResult {
  const { receipt = null, reply, chunks, models, vectors, error } = result;
  return {
    receipt,
    ...(reply === undefined ? {} : { said: whole(reply) }),
    ...(chunks === undefined ? {} : { said: joined(chunks) }),
    ...(models === undefined ? {} : { models: models.map((model) => String(Object(model).id)) }),
    ...(vectors === undefined ? {} : { vectors }),
    ...(error === undefined ? {} : { error }),
  };
}

function whole(reply: unknown): Said {
  assert.deepEqual(validateReply('CreateChatCompletionResponse', reply), []);
  const { choices, usage } = Object(reply);
  const [{ message, finish_reason: finish }] = choices;
  const calls: unknown[] = message.tool_calls ?? [];
  return {
    text: message.content ?? '',
    finish,
    calls: calls.map(callOf),
    usage: usageOf(usage),
    pieces: 0,
  };
}

function joined(chunks: readonly unknown[]): Said {
  let [text, finish, pieces] = ['', '', 0];
  let usage: Usage | null = null;
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const chunk of chunks) {
    assert.deepEqual(validateReply('CreateChatCompletionStreamResponse', chunk), []);
    const { choices, usage: figures } = Object(chunk);
    usage = usageOf(figures) ?? usage;
    const { delta = {}, finish_reason: ended } = choices[0] ?? {};
    if ((delta.content ?? '') !== '') pieces += 1;
    text += delta.content ?? '';
    finish = ended ?? finish;
    for (const piece of delta.tool_calls ?? []) {
      const { id, name, arguments: more } = callOf(piece);
      const call = (calls[piece.index] ??= { id: '', name: '', arguments: '' });
      call.id += id;
      call.name += name;
      call.arguments += more;
    }
  }
  return { text, finish, calls, usage, pieces };
}

function callOf(call: unknown): ToolCall {
  const { id = '', function: called } = Object(call);
  const { name = '', arguments: given = '' } = Object(called);
  return { id: String(id), name: String(name), arguments: String(given) };
}

function usageOf(usage: unknown): Usage | null {
  if (usage === undefined || usage === null) return null;
  const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = Object(usage);
  return { input, output, total };
}
