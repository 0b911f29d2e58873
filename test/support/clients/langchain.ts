import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { AIMessageChunk, HumanMessage, ToolMessage } from '@langchain/core/messages';
import type { AIMessage, BaseMessage, UsageMetadata } from '@langchain/core/messages';
import { AzureChatOpenAI, AzureOpenAIEmbeddings, ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { APIError } from 'openai';
import { readWanted } from './asked.ts';
import type { Wanted } from './asked.ts';
import { baseOf, toolResult } from './client.ts';
import type { Client, ClientCase, ClientResult, Said } from './client.ts';
import { describeApiError } from './node.ts';

const HEADERS = 'undici:request:headers';
const API_VERSION = '2024-10-21';

type Surface = Client['surface'];

/** LangChain for JavaScript with its package for OpenAI. */
export function langChainClient(surface: Client['surface']): Client {
  let receipt: string | null = null;
  // LangChain shows no headers of a good reply, so the receipt's id is read off the connection.
  const watch = (message: unknown): void => {
    const { headers } = Object(Object(message)['response']) as { headers?: readonly Buffer[] };
    const names = (headers ?? []).map(String);
    const at = names.findIndex((name) => name.toLowerCase() === 'sekisho-receipt');
    receipt = at === -1 ? null : (names[at + 1] ?? null);
  };
  subscribe(HEADERS, watch);
  return {
    name: surface === 'azure' ? 'LangChain, Azure' : 'LangChain',
    surface,
    wire: false,
    async ask(asked) {
      try {
        return { ...(await ACTIONS[asked.do](asked, surface)), receipt };
      } catch (thrown) {
        if (!(thrown instanceof APIError)) throw thrown;
        return { error: describeApiError(thrown) };
      }
    },
    [Symbol.dispose]: () => void unsubscribe(HEADERS, watch),
  };
}

const ACTIONS: Readonly<
  Record<ClientCase['do'], (asked: ClientCase, surface: Surface) => Promise<ClientResult>>
> = {
  async chat(asked, surface) {
    const wanted = readWanted(asked);
    const chat = chatOf(asked, wanted, surface);
    if (wanted.format !== null) return structured(chat, wanted.format);
    const prompt = [new HumanMessage(wanted.prompt)];
    return wanted.stream
      ? stream(bound(chat, wanted).stream(prompt))
      : { said: saidOf(await bound(chat, wanted).invoke(prompt)) };
  },
  async loop(asked, surface) {
    const wanted = readWanted(asked);
    const chat = bound(chatOf(asked, wanted, surface), wanted);
    const messages: BaseMessage[] = [new HumanMessage(wanted.prompt)];
    const called = await chat.invoke(messages);
    messages.push(called);
    for (const call of saidOf(called).calls)
      messages.push(new ToolMessage({ tool_call_id: call.id, content: toolResult(call) }));
    return { said: saidOf(await chat.invoke(messages)) };
  },
  async embeddings(asked, surface) {
    const { model, input, dimensions } = asked.arguments;
    const fields = {
      model: String(model),
      ...(dimensions === undefined ? {} : { dimensions: Number(dimensions) }),
    };
    const embeddings =
      surface === 'azure'
        ? new AzureOpenAIEmbeddings({
            ...fields,
            ...azureOf(asked),
            azureOpenAIApiEmbeddingsDeploymentName: fields.model,
            // Its embeddings take the endpoint under this name, with the path of the deployments.
            azureOpenAIBasePath: `${baseOf(asked, 'azure')}/openai/deployments`,
          })
        : new OpenAIEmbeddings({ ...fields, ...clientOf(asked) });
    return { vectors: await embeddings.embedDocuments([input].flat().map(String)) };
  },
  async models() {
    throw new Error('LangChain does not list models');
  },
  async model() {
    throw new Error('LangChain does not look models up');
  },
};

function clientOf(asked: ClientCase) {
  return {
    apiKey: asked.key,
    configuration: { baseURL: baseOf(asked, 'openai'), defaultHeaders: asked.headers },
    ...(asked.retries === null ? {} : { maxRetries: asked.retries }),
  };
}

function azureOf(asked: ClientCase) {
  return {
    azureOpenAIApiKey: asked.key,
    azureOpenAIEndpoint: baseOf(asked, 'azure'),
    azureOpenAIApiVersion: API_VERSION,
    configuration: { defaultHeaders: asked.headers },
    ...(asked.retries === null ? {} : { maxRetries: asked.retries }),
  };
}

function chatOf(asked: ClientCase, wanted: Wanted, surface: Surface): ChatOpenAI {
  const fields = {
    model: wanted.model,
    ...(wanted.maxTokens === null ? {} : { maxTokens: wanted.maxTokens }),
    modelKwargs: { ...wanted.more },
  };
  return surface === 'azure'
    ? new AzureChatOpenAI({ ...fields, ...azureOf(asked), azureOpenAIApiDeploymentName: wanted.model })
    : new ChatOpenAI({ ...fields, ...clientOf(asked) });
}

function bound(chat: ChatOpenAI, { tools, choice, seed }: Wanted) {
  const toolChoice = typeof choice === 'string' ? choice : choice.name;
  return chat.bindTools(
    tools.map((described) => ({ type: 'function' as const, function: described })),
    { ...(tools.length === 0 ? {} : { tool_choice: toolChoice }), ...(seed === null ? {} : { seed }) },
  );
}

async function structured(chat: ChatOpenAI, format: NonNullable<Wanted['format']>): Promise<ClientResult> {
  const { name, schema } = format;
  const how = { name, method: 'jsonSchema', strict: true, includeRaw: true } as const;
  const { raw, parsed } = await chat.withStructuredOutput({ ...schema }, how).invoke('decide');
  return { said: { ...saidOf(raw as AIMessage), text: JSON.stringify(parsed) } };
}

async function stream(opened: Promise<AsyncIterable<AIMessageChunk>>): Promise<ClientResult> {
  let whole = new AIMessageChunk('');
  let pieces = 0;
  try {
    for await (const chunk of await opened) {
      if (chunk.text !== '') pieces += 1;
      whole = whole.concat(chunk);
    }
  } catch (thrown) {
    if (!(thrown instanceof APIError) || pieces === 0) throw thrown;
    return { said: { ...saidOf(whole), pieces }, error: describeApiError(thrown) };
  }
  return { said: { ...saidOf(whole), pieces } };
}

function saidOf(message: AIMessage | AIMessageChunk): Said {
  return {
    text: message.text,
    finish: String(message.response_metadata['finish_reason']),
    calls: (message.tool_calls ?? []).map(({ id = '', name, args }) => {
      return { id, name, arguments: JSON.stringify(args) };
    }),
    usage: usageOf(message.usage_metadata),
    pieces: 0,
  };
}

function usageOf(usage: UsageMetadata | undefined): Said['usage'] {
  if (usage === undefined) return null;
  return { input: usage.input_tokens, output: usage.output_tokens, total: usage.total_tokens };
}
