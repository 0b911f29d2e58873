import type { Secret } from '../../core/secret.ts';
import type { ChatRequest } from '../chat/request.ts';
import type { EmbeddingsRequest } from '../embeddings/request.ts';
import type { PreparedRequest } from '../dispatch/operation.ts';
import { basePath, jsonPost } from './json-post.ts';
import { requireKnown } from './parameters.ts';

export interface OpenAiTarget {
  /** The base URL with its version part, for example `https://api.example.jp/v1`. */
  readonly url: string;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly secret: Secret | null;
  readonly timeoutMs: number;
}

/** Chat parameters that a provider of the OpenAI kind takes; whatever is not listed is refused by name. */
export const OPENAI_CHAT: ReadonlySet<string> = new Set([
  'frequency_penalty',
  'function_call',
  'functions',
  'logit_bias',
  'logprobs',
  'max_completion_tokens',
  'max_tokens',
  'messages',
  'model',
  'n',
  'parallel_tool_calls',
  'prediction',
  'presence_penalty',
  'prompt_cache_key',
  'reasoning_effort',
  'response_format',
  'safety_identifier',
  'seed',
  'stop',
  'stream',
  'stream_options',
  'temperature',
  'tool_choice',
  'tools',
  'top_logprobs',
  'top_p',
  'user',
  'verbosity',
]);

/** The same of embeddings. */
export const OPENAI_EMBEDDINGS: ReadonlySet<string> = new Set([
  'dimensions',
  'encoding_format',
  'input',
  'model',
  'user',
]);

/**
 * A chat request in OpenAI's wire format. The provider is told not to keep it.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareOpenAiChat(chat: ChatRequest, target: OpenAiTarget): PreparedRequest {
  requireKnown(chat.body, OPENAI_CHAT);
  const body = { ...chat.body, model: target.model, store: false };
  return prepared(target, '/chat/completions', { body, stream: chat.stream });
}

/**
 * An embeddings request in OpenAI's wire format.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareOpenAiEmbeddings(asked: EmbeddingsRequest, target: OpenAiTarget): PreparedRequest {
  requireKnown(asked.body, OPENAI_EMBEDDINGS);
  const body = { ...asked.body, model: target.model };
  return prepared(target, '/embeddings', { body, stream: false });
}

/** The header by which a provider of the OpenAI kind is told who asks. */
export function openAiCredentials(secret: Secret | null): Readonly<Record<string, string>> {
  return secret === null ? {} : { authorization: `Bearer ${secret.reveal()}` };
}

function prepared(
  { url, secret, timeoutMs }: OpenAiTarget,
  path: string,
  asked: { body: object; stream: boolean },
): PreparedRequest {
  const credentials = openAiCredentials(secret);
  return jsonPost({ ...asked, path: `${basePath(url)}${path}`, credentials, timeoutMs });
}
