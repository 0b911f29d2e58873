/** What a good answer says. */
export interface Answer {
  /** The answer's text; the last message's text back, unless told. */
  readonly text?: string;
  /** In how many pieces the text is streamed. */
  readonly pieces?: number;
  /** Of embeddings, whatever was asked for. */
  readonly encoding?: 'float' | 'base64';
  /** Calls of tools instead of a text. */
  readonly tools?: readonly { readonly name: string; readonly arguments: string }[];
}

/** What of a request shapes the answer. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
  readonly usage: boolean;
  readonly text: string;
}

const CREATED = 1_760_000_000;
const DEFAULT_PIECES = 4;

/** `GET /v1/models` of the scripted provider. */
export const MODELS = {
  object: 'list',
  data: [{ id: 'scripted', object: 'model', created: CREATED, owned_by: 'scripted' }],
};

/** Reads a request body as far as the answer depends on it; a body that is no JSON asks for a plain answer. */
export function readAsked(body: Buffer): Asked {
  const asked = parsed(body);
  const messages: unknown = asked['messages'];
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : null;
  const content = isRecord(last) && typeof last['content'] === 'string' ? last['content'] : '';
  const options = asked['stream_options'];
  return {
    model: typeof asked['model'] === 'string' ? asked['model'] : 'scripted',
    stream: asked['stream'] === true,
    usage: isRecord(options) && options['include_usage'] === true,
    text: content === '' ? 'scripted answer' : content,
  };
}

/** A whole chat completion. */
export function chatReply(asked: Asked, wanted: Answer = {}): object {
  const calls = toolCalls(wanted);
  const content = calls === null ? (wanted.text ?? asked.text) : null;
  return {
    id: 'chatcmpl-scripted',
    object: 'chat.completion',
    created: CREATED,
    model: asked.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content,
          refusal: null,
          ...(calls === null ? {} : { tool_calls: calls }),
        },
        logprobs: null,
        finish_reason: calls === null ? 'stop' : 'tool_calls',
      },
    ],
    usage: usageOf(asked, wanted),
  };
}

/** The events of a streamed chat completion, each whole with its blank line; the last one is `[DONE]`. */
export function chatStream(asked: Asked, wanted: Answer = {}): readonly string[] {
  const calls = toolCalls(wanted);
  const deltas: object[] = [{ role: 'assistant', content: calls === null ? '' : null, refusal: null }];
  if (calls === null)
    for (const content of cut(wanted.text ?? asked.text, wanted.pieces ?? DEFAULT_PIECES))
      deltas.push({ content });
  else for (const [index, call] of calls.entries()) deltas.push({ tool_calls: [{ index, ...call }] });
  const events = deltas.map((delta) =>
    chunk(asked, [{ index: 0, delta, logprobs: null, finish_reason: null }]),
  );
  const finish = calls === null ? 'stop' : 'tool_calls';
  events.push(chunk(asked, [{ index: 0, delta: {}, logprobs: null, finish_reason: finish }]));
  if (asked.usage) events.push(chunk(asked, [], { usage: usageOf(asked, wanted) }));
  return [...events, 'data: [DONE]\n\n'];
}

function chunk(asked: Asked, choices: readonly object[], more: object = {}): string {
  const value = {
    id: 'chatcmpl-scripted',
    object: 'chat.completion.chunk',
    created: CREATED,
    model: asked.model,
    choices,
    ...more,
  };
  return `data: ${JSON.stringify(value)}\n\n`;
}

function toolCalls(wanted: Answer): readonly object[] | null {
  if (wanted.tools === undefined) return null;
  return wanted.tools.map((call, index) => {
    return { id: `call_scripted_${index}`, type: 'function', function: call };
  });
}

// Words stand in for tokens: what is tested is that the figures arrive, not how they were counted.
function usageOf(asked: Asked, wanted: Answer): object {
  const [prompt, completion] = [words(asked.text), words(wanted.text ?? asked.text)];
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function words(text: string): number {
  return text.split(/\s+/).filter((word) => word !== '').length;
}

// By code points, so that no piece ends inside a character.
function cut(text: string, pieces: number): readonly string[] {
  const points = Array.from(text);
  const size = Math.max(1, Math.ceil(points.length / pieces));
  const cuts: string[] = [];
  for (let i = 0; i < points.length; i += size) cuts.push(points.slice(i, i + size).join(''));
  return cuts;
}

function parsed(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString());
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
