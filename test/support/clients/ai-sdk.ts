import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, embedMany, generateText, isStepCount, jsonSchema, Output, streamText, tool } from 'ai';
import type { JSONValue, LanguageModelUsage, ToolSet } from 'ai';
import { readWanted } from './asked.ts';
import type { Wanted } from './asked.ts';
import { baseOf, steering, toolResult } from './client.ts';
import type { Client, ClientCase, ClientError, ClientResult, Said, Usage } from './client.ts';

/** The Vercel AI SDK with its provider for OpenAI, asked for chat completions. */
export function aiSdkClient(): Client {
  return { name: 'AI SDK', surface: 'openai', wire: false, ask, [Symbol.dispose]: () => {} };
}

async function ask(asked: ClientCase): Promise<ClientResult> {
  const provider = createOpenAI({ apiKey: asked.key, baseURL: baseOf(asked, 'openai') });
  const common = { headers: asked.headers, ...(asked.retries === null ? {} : { maxRetries: asked.retries }) };
  try {
    if (asked.do === 'embeddings') {
      const { model, input, dimensions } = asked.arguments;
      const { embeddings, responses } = await embedMany({
        ...common,
        model: provider.embedding(String(model)),
        values: [input].flat().map(String),
        ...(dimensions === undefined
          ? {}
          : { providerOptions: { openai: { dimensions: Number(dimensions) } } }),
      });
      return { receipt: receiptOf(responses?.[0]?.headers), vectors: embeddings };
    }
    const wanted = readWanted(asked);
    const options = { ...common, ...optionsOf(wanted), model: provider.chat(wanted.model) };
    if (wanted.stream) return await stream(options);
    return asked.do === 'loop' ? await loop(options, wanted) : await plain(options, wanted);
  } catch (thrown) {
    return { error: described(thrown) };
  }
}

type Options = Parameters<typeof generateText>[0];
type ChatOptions = Pick<Options, 'model' | 'headers' | 'maxRetries'> & ReturnType<typeof optionsOf>;

function optionsOf(wanted: Wanted) {
  const tools: ToolSet = Object.fromEntries(
    wanted.tools.map(({ name, parameters }) => [name, tool({ inputSchema: jsonSchema(parameters) })]),
  );
  const { choice } = wanted;
  return {
    prompt: wanted.prompt,
    ...(wanted.tools.length === 0
      ? {}
      : {
          tools,
          toolChoice: typeof choice === 'string' ? choice : { type: 'tool' as const, toolName: choice.name },
        }),
    ...(wanted.maxTokens === null ? {} : { maxOutputTokens: wanted.maxTokens }),
    ...(wanted.seed === null ? {} : { seed: wanted.seed }),
    providerOptions: { openai: { ...wanted.more } as Record<string, JSONValue> },
  };
}

async function plain(options: ChatOptions, wanted: Wanted): Promise<ClientResult> {
  if (wanted.format === null) {
    const { text, finishReason, toolCalls, usage, response } = await generateText(options);
    return {
      receipt: receiptOf(response.headers),
      said: { ...said(text, finishReason, usage), calls: toolCalls.map(callOf) },
    };
  }
  const { name, schema } = wanted.format;
  const output = Output.object({ name, schema: jsonSchema(schema) });
  const answer = await generateText({ ...options, output });
  return {
    receipt: receiptOf(answer.response.headers),
    said: said(JSON.stringify(answer.output), answer.finishReason, answer.usage),
  };
}

async function loop(options: ChatOptions, wanted: Wanted): Promise<ClientResult> {
  const tools = Object.fromEntries(
    wanted.tools.map(({ name, parameters }) => [
      name,
      tool({
        inputSchema: jsonSchema(parameters),
        execute: (given) => toolResult({ name, arguments: JSON.stringify(given) }),
      }),
    ]),
  );
  const { text, finishReason, steps, usage } = await generateText({
    ...options,
    tools,
    stopWhen: isStepCount(2),
  });
  return { receipt: receiptOf(steps.at(-1)?.response.headers), said: said(text, finishReason, usage) };
}

async function stream(options: ChatOptions): Promise<ClientResult> {
  // Without a function of its own it prints errors, and what it prints is not what is asked here.
  const { fullStream } = streamText({ ...options, onError: () => {} });
  let [text, finish, pieces] = ['', '', 0];
  let usage: Usage | null = null;
  let receipt: string | null = null;
  let error: ClientError | undefined;
  const calls: ReturnType<typeof callOf>[] = [];
  for await (const part of fullStream) {
    if (part.type === 'text-delta') {
      text += part.text;
      pieces += 1;
    } else if (part.type === 'tool-call') calls.push(callOf(part));
    else if (part.type === 'error') error = described(part.error);
    else if (part.type === 'finish-step') {
      receipt = receiptOf(part.response.headers);
      ({ finish, usage } = said('', part.finishReason, part.usage));
    }
  }
  return { receipt, said: { text, finish, usage, pieces, calls }, ...(error === undefined ? {} : { error }) };
}

function said(text: string, finish: string, usage: LanguageModelUsage): Said {
  const { inputTokens: input, outputTokens: output, totalTokens: total } = usage;
  const known = input !== undefined && output !== undefined && total !== undefined;
  return {
    text,
    finish: finish.replaceAll('-', '_'),
    usage: known ? { input, output, total } : null,
    calls: [],
    pieces: 0,
  };
}

function callOf(call: { readonly toolCallId: string; readonly toolName: string; readonly input: unknown }) {
  return { id: call.toolCallId, name: call.toolName, arguments: JSON.stringify(call.input) };
}

function receiptOf(headers: Readonly<Record<string, string>> | undefined): string | null {
  return headers?.['sekisho-receipt'] ?? null;
}

function described(thrown: unknown): ClientError {
  if (!APICallError.isInstance(thrown)) return ofStream(thrown);
  const headers = thrown.responseHeaders ?? {};
  const body = errorOf(thrown.responseBody ?? '{}');
  const { code = null, param = null } = body;
  return {
    type: thrown.name,
    status: thrown.statusCode ?? null,
    code,
    param,
    requestId: headers['x-request-id'] ?? null,
    retry: steering(Object.entries(headers)),
    body,
  };
}

// An error inside a stream, which has no head of its own any more.
function ofStream(thrown: unknown): ClientError {
  assert.ok(thrown instanceof Error && 'data' in thrown, String(thrown));
  const body = Object(thrown.data);
  const { code = null, param = null } = body;
  return { type: thrown.name, status: null, code, param, requestId: null, retry: {}, body };
}

function errorOf(text: string): Readonly<Record<string, string | null>> {
  const parsed: unknown = JSON.parse(text);
  return Object(Object(parsed)['error']);
}
