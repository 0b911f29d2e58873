import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLog } from '../../core/log.ts';
import { systemWorld } from '../../core/world.ts';
import type { EgressCall, EgressHandler, EgressRequest } from '../../egress/types.ts';
import { openAiProblems } from '../../../test/support/openai-schema.ts';
import { writeTinyGguf } from '../../../test/support/tiny-gguf.ts';
import { Engine } from './engine.ts';
import { llamaTransport } from './transport.ts';

const WORLD = systemWorld();
const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'the weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 3 }, unit: { enum: ['c', 'f'] } },
      required: ['city', 'unit'],
      additionalProperties: false,
    },
  },
};
const CLOCK = { type: 'function', function: { name: 'get_time', parameters: null } };
const HELLO = [{ role: 'user', content: '今日は' }];

let folder: string;
let engine: Engine;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sekisho-llama-'));
  const modelPath = await writeTinyGguf(join(folder, 'tiny.gguf'));
  engine = new Engine({ modelPath, threads: 1, contextSize: 2_048, log: silentLog, world: WORLD });
});
after(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

describe('a plain answer', () => {
  test('is a chat.completion with usage by the real tokenizer', async () => {
    const answer = await askPlain({ messages: HELLO, max_tokens: 12, seed: 3 });
    assert.equal(answer.object, 'chat.completion');
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 12);
    // A byte vocabulary spells each of the three characters out of its table with three bytes or one token.
    assert.ok(answer.usage.prompt_tokens > 20);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 12);
  });

  test('is the same for the same seed and another for another', async () => {
    const ask = async (seed: number): Promise<string> =>
      (await askPlain({ messages: HELLO, max_tokens: 12, seed })).choices[0].message.content;
    const [first, again, other] = [await ask(3), await ask(3), await ask(4)];
    assert.equal(first, again);
    assert.notEqual(first, other);
  });

  test('ends before a stop text', async () => {
    const whole: string = (await askPlain({ messages: HELLO, max_tokens: 24, seed: 3 })).choices[0].message
      .content;
    const stop = /[ぁ-ん]/.exec(whole.slice(4))?.[0] ?? '';
    assert.notEqual(stop, '');
    const cut = await askPlain({ messages: HELLO, max_tokens: 24, seed: 3, stop });
    assert.equal(cut.choices[0].finish_reason, 'stop');
    assert.ok(whole.startsWith(cut.choices[0].message.content));
    assert.ok(!cut.choices[0].message.content.includes(stop));
  });

  test('is JSON of the schema that was asked for', async () => {
    const schema = {
      type: 'object',
      properties: { ok: { type: 'boolean' }, size: { $ref: '#/$defs/size' } },
      required: ['ok', 'size'],
      additionalProperties: false,
      $defs: { size: { anyOf: [{ const: 'small' }, { type: 'null' }] } },
    };
    const answer = await askPlain({
      messages: HELLO,
      max_tokens: 200,
      response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } },
    });
    const value = JSON.parse(answer.choices[0].message.content);
    assert.deepEqual(Object.keys(value), ['ok', 'size']);
    assert.equal(typeof value.ok, 'boolean');
    assert.ok(value.size === 'small' || value.size === null);
  });

  test('is the call of a function that was forced', async () => {
    const answer = await askPlain({
      messages: HELLO,
      max_tokens: 200,
      tools: [CLOCK, WEATHER],
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
    });
    const [choice] = answer.choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.content, null);
    assert.equal(choice.message.tool_calls[0].function.name, 'get_weather');
    const called = JSON.parse(choice.message.tool_calls[0].function.arguments);
    assert.deepEqual(Object.keys(called), ['city', 'unit']);
  });

  test('is the call of some function when one is required', async () => {
    const answer = await askPlain({
      messages: HELLO,
      max_tokens: 300,
      tools: [CLOCK, WEATHER],
      tool_choice: 'required',
    });
    const [call] = answer.choices[0].message.tool_calls;
    assert.ok(['get_time', 'get_weather'].includes(call.function.name));
    assert.equal(typeof JSON.parse(call.function.arguments), 'object');
  });

  test('goes on after a tool result', async () => {
    const called = {
      id: 'call_1',
      type: 'function',
      function: { name: 'get_weather', arguments: '{"city":"東京"}' },
    };
    const messages = [
      ...HELLO,
      { role: 'assistant', content: null, tool_calls: [called] },
      { role: 'tool', tool_call_id: 'call_1', content: '晴れ' },
    ];
    const answer = await askPlain({ messages, max_tokens: 5, tools: [WEATHER] });
    assert.ok(['length', 'stop', 'tool_calls'].includes(answer.choices[0].finish_reason));
    assert.ok(answer.usage.prompt_tokens > 100);
  });
});

describe('a streamed answer', () => {
  test('is chunks of one id from the role to the finish, then [DONE]', async () => {
    const { chunks, ended } = await askStream({ messages: HELLO, max_tokens: 8 });
    assert.ok(ended);
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
    assert.equal(chunks[0]?.choices[0].delta.role, 'assistant');
    // A model of random weights may also come to an end by itself.
    assert.ok(['length', 'stop'].includes(chunks.at(-1)?.choices[0].finish_reason));
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.choices[0].finish_reason === null));
    assert.ok(chunks.every((chunk) => !('usage' in chunk)));
  });

  test('says the same as the plain one, with usage in its last chunk when asked', async () => {
    const body = { messages: HELLO, max_tokens: 16, seed: 9 };
    const plain = await askPlain(body);
    const { chunks } = await askStream({ ...body, stream_options: { include_usage: true } });
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    assert.equal(text, plain.choices[0].message.content);
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.deepEqual(chunks.at(-1)?.usage, plain.usage);
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  });

  test('gives a forced call as deltas', async () => {
    const { chunks } = await askStream({
      messages: HELLO,
      max_tokens: 200,
      tools: [WEATHER],
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
    });
    const deltas = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
    assert.equal(deltas[0].function.name, 'get_weather');
    assert.match(deltas[0].id, /^call_/);
    const text = deltas
      .map((delta: { function: { arguments: string } }) => delta.function.arguments)
      .join('');
    assert.deepEqual(Object.keys(JSON.parse(text)), ['city', 'unit']);
    assert.equal(chunks.at(-1)?.choices[0].finish_reason, 'tool_calls');
  });

  test('waits while the reader does not take it, and loses nothing', async () => {
    const body = { messages: HELLO, max_tokens: 16, seed: 9 };
    const free = await ask({ ...body, stream: true });
    let call: EgressCall | null = null;
    const slow = await ask({ ...body, stream: true }, (started) => {
      call = started;
      return { takes: false, later: () => setImmediate(() => call?.resume()) };
    });
    assert.equal(textOf(slow.bytes), textOf(free.bytes));
  });
});

describe('a request that cannot be answered', () => {
  test('is refused when it does not fit the context', async () => {
    const fault = await refusal({ messages: [{ role: 'user', content: 'x'.repeat(4_000) }] });
    assert.equal(fault.code, 'gateway.context_length_exceeded');
    const huge = await refusal({ messages: [{ role: 'user', content: 'x'.repeat(1_000_000) }] });
    assert.equal(huge.code, 'gateway.context_length_exceeded');
  });

  test('is given up when the engine says nothing in time', async () => {
    const fault = await refusal({ messages: HELLO, max_tokens: 1_500 }, 1);
    assert.equal(fault.code, 'egress.interrupted');
  });
});

type Pace = (call: EgressCall) => { takes: boolean; later: () => void };

function ask(body: object, pace?: Pace, timeoutMs = 60_000): Promise<{ head: unknown[]; bytes: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ head: unknown[]; bytes: Buffer }>();
  const chunks: Buffer[] = [];
  const head: unknown[] = [];
  const handler: EgressHandler = {
    onHead: (...args) => void head.push(...args),
    onData(chunk) {
      chunks.push(chunk);
      if (pace === undefined) return true;
      const { takes, later } = pace(call);
      later();
      return takes;
    },
    onEnd: () => resolve({ head, bytes: Buffer.concat(chunks) }),
    onError: reject,
  };
  const request: EgressRequest = {
    method: 'POST',
    path: '/v1/chat/completions',
    headers: {},
    body: Buffer.from(JSON.stringify({ model: 'chat', ...body })),
    timeoutMs,
  };
  const call = llamaTransport(engine, { world: WORLD, fingerprint: 'fp_tiny' }).dispatch(request, handler);
  assert.equal(call.observed(), null);
  return promise;
}

async function askPlain(body: object) {
  const { head, bytes } = await ask(body);
  assert.deepEqual(head, [200, { 'content-type': 'application/json' }]);
  const answer = JSON.parse(bytes.toString());
  assert.deepEqual(openAiProblems('CreateChatCompletionResponse', answer), []);
  return answer;
}

async function askStream(body: object) {
  const { head, bytes } = await ask({ ...body, stream: true });
  assert.deepEqual(head, [200, { 'content-type': 'text/event-stream; charset=utf-8' }]);
  const frames = bytes.toString().split('\n\n').slice(0, -1);
  assert.ok(frames.every((frame) => frame.startsWith('data: ')));
  const ended = frames.pop() === 'data: [DONE]';
  const chunks = frames.map((frame) => JSON.parse(frame.slice('data: '.length)));
  for (const chunk of chunks)
    assert.deepEqual(openAiProblems('CreateChatCompletionStreamResponse', chunk), []);
  return { chunks, ended };
}

async function refusal(body: object, timeoutMs?: number): Promise<{ code: string }> {
  try {
    await ask(body, undefined, timeoutMs);
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error);
    return { code: String(error.code) };
  }
  throw new Error('the request was answered');
}

function textOf(bytes: Buffer): string {
  return bytes.toString().replaceAll(/"id":"[^"]*"|"created":\d+/g, '');
}
