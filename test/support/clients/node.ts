import OpenAI, { APIError, AzureOpenAI } from 'openai';
import { baseOf, steering, toolResult } from './client.ts';
import type { Client, ClientCase, ClientError, ClientResult } from './client.ts';
import { readWire } from './wire.ts';
import type { WireResult } from './wire.ts';

const API_VERSION = '2024-10-21';

type ChatParameters = OpenAI.Chat.ChatCompletionCreateParams;
type LoopParameters = OpenAI.Chat.ChatCompletionCreateParamsNonStreaming;

/** The openai client for Node, in this process. */
export function nodeClient(surface: Client['surface']): Client {
  return {
    name: surface === 'azure' ? 'openai for Node, Azure' : 'openai for Node',
    surface,
    wire: true,
    ask: async (asked) => ask(clientOf(asked, surface), asked),
    [Symbol.dispose]: () => {},
  };
}

function clientOf(asked: ClientCase, surface: Client['surface']): OpenAI {
  const options = {
    apiKey: asked.key,
    defaultHeaders: { ...asked.headers },
    ...(asked.retries === null ? {} : { maxRetries: asked.retries }),
  };
  if (surface === 'azure')
    return new AzureOpenAI({ ...options, endpoint: baseOf(asked, surface), apiVersion: API_VERSION });
  return new OpenAI({ ...options, baseURL: baseOf(asked, surface) });
}

async function ask(client: OpenAI, asked: ClientCase): Promise<ClientResult> {
  try {
    return readWire(await ACTIONS[asked.do](client, asked));
  } catch (thrown) {
    if (!(thrown instanceof APIError)) throw thrown;
    return { error: describeApiError(thrown) };
  }
}

const ACTIONS: Readonly<
  Record<ClientCase['do'], (client: OpenAI, asked: ClientCase) => Promise<WireResult>>
> = {
  async chat(client, asked) {
    const fill = { messages: [{ role: 'user', content: 'x'.repeat(asked.fill) }] };
    // Holds only for good cases: tests also send what the client's own types would not allow.
    const body = { ...asked.arguments, ...(asked.fill > 0 ? fill : {}) } as ChatParameters;
    return body.stream === true ? stream(client, { ...body, stream: true }) : plainly(client, body);
  },
  async loop(client, asked) {
    const given: Partial<LoopParameters> = asked.arguments;
    const { model = '', messages = [], ...more } = given;
    const body = { model, messages, ...more };
    const { choices } = await client.chat.completions.create(body);
    const [first] = choices;
    if (first === undefined) return {};
    const results = (first.message.tool_calls ?? []).flatMap((call) =>
      call.type === 'function'
        ? [{ role: 'tool' as const, tool_call_id: call.id, content: toolResult(call.function) }]
        : [],
    );
    return plainly(client, { ...body, messages: [...body.messages, first.message, ...results] });
  },
  async embeddings(client, asked) {
    const given: Partial<OpenAI.EmbeddingCreateParams> = asked.arguments;
    const { model = '', input = '', ...more } = given;
    const body = { model, input, ...more };
    const { data, response } = await client.embeddings.create(body).withResponse();
    const vectors = data.data.map(({ embedding }) => embedding);
    return { receipt: response.headers.get('sekisho-receipt'), vectors };
  },
  async models(client) {
    return { models: (await client.models.list()).data };
  },
  async model(client, asked) {
    return { models: [await client.models.retrieve(String(asked.arguments['model']))] };
  },
};

async function plainly(client: OpenAI, body: ChatParameters): Promise<WireResult> {
  const { data, response } = await client.chat.completions.create({ ...body, stream: false }).withResponse();
  return { receipt: response.headers.get('sekisho-receipt'), reply: plain(data) };
}

async function stream(
  client: OpenAI,
  body: OpenAI.Chat.ChatCompletionCreateParamsStreaming,
): Promise<WireResult> {
  const { data, response } = await client.chat.completions.create(body).withResponse();
  const receipt = response.headers.get('sekisho-receipt');
  const chunks: unknown[] = [];
  try {
    for await (const chunk of data) chunks.push(chunk);
  } catch (thrown) {
    if (!(thrown instanceof APIError)) throw thrown;
    return { receipt, chunks, error: describeApiError(thrown) };
  }
  return { receipt, chunks };
}

// Without what the client itself adds to a reply, such as `_request_id`, which it hides from enumeration.
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** An error of the openai client for Node. */
export function describeApiError(thrown: APIError): ClientError {
  return {
    type: thrown.constructor.name,
    status: thrown.status ?? null,
    code: thrown.code ?? null,
    param: thrown.param ?? null,
    requestId: thrown.requestID ?? null,
    retry: steering(thrown.headers ?? []),
    body: thrown.error,
  };
}
