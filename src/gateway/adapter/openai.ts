import type { Secret } from '../../core/secret.ts';
import type { BodyRules } from '../../policy/types.ts';
import type { ChatRequest } from '../chat/request.ts';
import type { EmbeddingsRequest } from '../embeddings/request.ts';
import type { PreparedRequest } from '../dispatch/operation.ts';
import { basePath, jsonPost } from './json-post.ts';
import { requireOwnContent } from './messages.ts';
import { parameters, requireKnown, type Parameters } from './parameters.ts';

export interface OpenAiTarget {
  /** The base URL with its version part, for example `https://api.example.jp/v1`. */
  readonly url: string;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly secret: Secret | null;
  readonly rules: BodyRules;
  readonly timeoutMs: number;
}

/** Chat parameters that a provider of the OpenAI kind takes; whatever is not listed is refused by name. */
export const OPENAI_CHAT: Parameters = parameters(
  [
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
  ],
  {
    metadata: 'metadata',
    prompt_cache_key: 'caches',
    prompt_cache_options: 'caches',
    prompt_cache_retention: 'caches',
    store: 'store',
    web_search_options: 'tools',
  },
);

/** The same of embeddings. */
export const OPENAI_EMBEDDINGS: Parameters = parameters([
  'dimensions',
  'encoding_format',
  'input',
  'model',
  'user',
]);

/**
 * A chat request in OpenAI's wire format. The provider is told not to keep it, unless its record allows that and the
 * caller asked for it.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareOpenAiChat(chat: ChatRequest, target: OpenAiTarget): PreparedRequest {
  requireAllowed(chat.body, target.rules);
  const body = { ...chat.body, model: target.model, store: chat.body['store'] === true };
  return prepared(target, '/chat/completions', { body, stream: chat.stream });
}

/**
 * Refuses by name what of a chat body may not go to a provider with these rules.
 * @throws Fault `gateway.unsupported_parameter`, `gateway.invalid_request` naming the parameter.
 */
export function requireAllowed(body: ChatRequest['body'], rules: BodyRules): void {
  requireKnown(body, OPENAI_CHAT, rules);
  requireOwnContent(body, rules);
}

/**
 * An embeddings request in OpenAI's wire format.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareOpenAiEmbeddings(asked: EmbeddingsRequest, target: OpenAiTarget): PreparedRequest {
  requireKnown(asked.body, OPENAI_EMBEDDINGS, target.rules);
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
