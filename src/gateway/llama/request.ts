import { readForm } from './form.ts';
import { readMessages } from './messages.ts';
import { invalid, objectAt, unsupported } from './reading.ts';
import type { Json } from '../../core/canonical-json.ts';
import type { ChatJob } from './protocol.ts';
import type { JsonObject } from './reading.ts';

/** A chat-completions request that the local engine can answer in full. */
export interface LlamaRequest {
  /** The caller's name of the model, repeated in the answer. */
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly job: ChatJob;
}

/** What the engine does about one parameter of the OpenAI description. */
export type Fact =
  /** Read by the named function below or by `messages.ts` and `form.ts`. */
  | { readonly does: 'obeyed' }
  /** Changes nothing about an answer that is computed here and kept nowhere. */
  | { readonly does: 'inert' }
  /** Only these values ask for what happens anyway; any other is refused by name. */
  | { readonly does: 'only'; readonly values: readonly Json[] };

export const obeyed: Fact = { does: 'obeyed' };
export const inert: Fact = { does: 'inert' };
export const only = (...values: readonly Json[]): Fact => ({ does: 'only', values: [null, ...values] });

/** Every parameter of CreateChatCompletionRequest. A name that is not here is refused, never dropped. */
export const CHAT_PARAMETERS: Readonly<Record<string, Fact>> = {
  messages: obeyed,
  model: obeyed,
  stream: obeyed,
  stream_options: obeyed,
  max_tokens: obeyed,
  max_completion_tokens: obeyed,
  temperature: obeyed,
  top_p: obeyed,
  seed: obeyed,
  stop: obeyed,
  presence_penalty: obeyed,
  frequency_penalty: obeyed,
  response_format: obeyed,
  tools: obeyed,
  tool_choice: obeyed,
  parallel_tool_calls: obeyed,
  user: inert,
  safety_identifier: inert,
  prompt_cache_key: inert,
  prompt_cache_retention: inert,
  n: only(1),
  logprobs: only(false),
  top_logprobs: only(0),
  logit_bias: only({}),
  modalities: only(['text']),
  store: only(false),
  metadata: only({}),
  service_tier: only('auto', 'default'),
  verbosity: only('medium'),
  reasoning_effort: only('none'),
  audio: only(),
  prediction: only(),
  web_search_options: only(),
  moderation: only(),
  prompt_cache_options: only(),
  functions: only(),
  function_call: only(),
};

const MAX_STOPS = 4;
const UINT32 = 2n ** 32n;

/**
 * Reads a chat-completions body as JSON.parse gave it.
 * @throws Fault `gateway.unsupported_parameter` for what the engine cannot do, `gateway.invalid_request` for what is
 * malformed; details.param names the parameter.
 */
export function parseLlamaRequest(parsed: unknown): LlamaRequest {
  // JSON.parse made it, so it is JSON.
  const body = objectAt(parsed as Json, 'the body');
  refuseUnsupported(body, CHAT_PARAMETERS);
  const model = body['model'];
  if (typeof model !== 'string' || model === '') throw invalid('model', 'a model name');
  const stream = flag(body, 'stream');
  return {
    model,
    stream,
    includeUsage: includeUsage(body['stream_options'] ?? null, stream),
    job: {
      turns: readMessages(body['messages'] ?? null),
      form: readForm(body),
      maxTokens: count(body, 'max_completion_tokens') ?? count(body, 'max_tokens'),
      temperature: ranged(body, 'temperature', 0, 2),
      topP: ranged(body, 'top_p', 0, 1),
      seed: seed(body['seed'] ?? null),
      stop: stops(body['stop'] ?? null),
      presencePenalty: ranged(body, 'presence_penalty', -2, 2) ?? 0,
      frequencyPenalty: ranged(body, 'frequency_penalty', -2, 2) ?? 0,
    },
  };
}

/** @throws Fault `gateway.unsupported_parameter` for a member that `facts` does not list with its value. */
export function refuseUnsupported(body: JsonObject, facts: Readonly<Record<string, Fact>>): void {
  for (const [name, value] of Object.entries(body)) {
    const fact = Object.hasOwn(facts, name) ? facts[name] : undefined;
    if (fact === undefined) throw unsupported(name.slice(0, 64));
    if (fact.does !== 'only') continue;
    const asked = JSON.stringify(value);
    if (!fact.values.some((allowed) => JSON.stringify(allowed) === asked)) throw unsupported(name);
  }
}

function includeUsage(options: Json, stream: boolean): boolean {
  if (options === null) return false;
  if (!stream) throw invalid('stream_options', 'left out unless stream is true');
  let usage = false;
  for (const [name, value] of Object.entries(objectAt(options, 'stream_options'))) {
    if (name === 'include_usage' && typeof value === 'boolean') usage = value;
    else if (name !== 'include_obfuscation' || value !== false) {
      throw unsupported(`stream_options.${name.slice(0, 64)}`);
    }
  }
  return usage;
}

function flag(body: JsonObject, name: string): boolean {
  const value = body[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw invalid(name, 'true or false');
}

function count(body: JsonObject, name: string): number | null {
  const value = body[name] ?? null;
  if (value === null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw invalid(name, 'a positive integer');
}

function ranged(body: JsonObject, name: string, low: number, high: number): number | null {
  const value = body[name] ?? null;
  if (value === null) return null;
  if (typeof value === 'number' && value >= low && value <= high) return value;
  throw invalid(name, `a number from ${low} to ${high}`);
}

// The engine's seed has 32 bits and the description's 64: the same seed always gives the same 32.
function seed(value: Json): number | null {
  if (value === null) return null;
  if (typeof value === 'number' && Number.isInteger(value))
    return Number(BigInt.asUintN(64, BigInt(value)) % UINT32);
  throw invalid('seed', 'an integer');
}

function stops(value: Json): string[] {
  if (value === null) return [];
  const list: readonly Json[] = Array.isArray(value) ? value : [value];
  const texts = list.filter((stop): stop is string => typeof stop === 'string' && stop !== '');
  if (texts.length !== list.length || list.length > MAX_STOPS) {
    throw invalid('stop', `a text or at most ${MAX_STOPS} texts, none empty`);
  }
  return texts;
}
