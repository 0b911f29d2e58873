import { Fault } from '../../core/fault.ts';
import type { Secret } from '../../core/secret.ts';
import type { EgressRequest } from '../../egress/types.ts';
import type { ChatRequest } from '../chat/request.ts';
import { isRecord } from '../json-body.ts';

export interface OpenAiTarget {
  /** The base URL with its version part, for example `https://api.example.jp/v1`. */
  readonly url: string;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly secret: Secret | null;
  readonly timeoutMs: number;
}

/** Parameters that a provider of the OpenAI kind takes; whatever is not listed is refused by name. */
const PARAMETERS: ReadonlySet<string> = new Set([
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'max_completion_tokens',
  'max_tokens',
  'messages',
  'model',
  'n',
  'parallel_tool_calls',
  'presence_penalty',
  'reasoning_effort',
  'response_format',
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

/** Tools that the caller runs; any other kind would be run by the provider, past this road. */
const CALLER_TOOLS: ReadonlySet<string> = new Set(['function', 'custom']);

/**
 * A chat request in OpenAI's wire format. The provider is told not to keep it.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareOpenAiChat(chat: ChatRequest, target: OpenAiTarget): EgressRequest & { body: Buffer } {
  for (const name of Object.keys(chat.body)) {
    if (!PARAMETERS.has(name) && !isStoreFalse(name, chat.body[name])) throw unsupported(name);
  }
  checkTools(chat.body['tools']);
  const body = Buffer.from(JSON.stringify({ ...chat.body, model: target.model, store: false }));
  const base = new URL(target.url);
  return {
    method: 'POST',
    path: `${base.pathname.replace(/\/$/, '')}/chat/completions`,
    headers: {
      'content-type': 'application/json',
      accept: chat.stream ? 'text/event-stream' : 'application/json',
      ...(target.secret === null ? {} : { authorization: `Bearer ${target.secret.reveal()}` }),
    },
    body,
    timeoutMs: target.timeoutMs,
  };
}

function isStoreFalse(name: string, value: unknown): boolean {
  return name === 'store' && (value === false || value === null);
}

function checkTools(tools: unknown): void {
  if (tools === undefined || tools === null) return;
  if (!Array.isArray(tools)) throw unsupported('tools');
  for (const [i, tool] of tools.entries()) {
    const type: unknown = isRecord(tool) ? tool['type'] : null;
    if (typeof type !== 'string' || !CALLER_TOOLS.has(type)) throw unsupported(`tools[${i}].type`);
  }
}

function unsupported(param: string): Fault {
  return new Fault(
    'invalid',
    'gateway.unsupported_parameter',
    `the parameter ${param} is not supported here`,
    {
      details: { param },
    },
  );
}
