import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { connect } from 'node:net';
import test from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import { validateReply } from './support/openai-schema.ts';
import type { Misbehaviour } from './support/provider-behaviour.ts';
import { startProvider } from './support/provider.ts';
import type { Provider } from './support/provider.ts';

interface Seen {
  readonly status: number | null;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly error: string | null;
}

test('the openai client chats, streams and gets tool calls, and everything is kept', async (t) => {
  const provider = await started(t);
  const client = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: 'k', maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: '関所を通る荷物' }];
  const plain = await client.chat.completions.create({ model: 'm', messages });
  assert.equal(plain.choices[0]?.message.content, '関所を通る荷物');
  assert.deepEqual(validateReply('CreateChatCompletionResponse', plain), []);

  const stream = await client.chat.completions.create({
    model: 'm',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage = 0;
  for await (const chunk of stream) {
    assert.deepEqual(validateReply('CreateChatCompletionStreamResponse', chunk), []);
    text += chunk.choices[0]?.delta.content ?? '';
    usage += chunk.usage?.total_tokens ?? 0;
  }
  assert.deepEqual([text, usage > 0], ['関所を通る荷物', true]);

  provider.behave({ kind: 'answer', tools: [{ name: 'open_gate', arguments: '{"n":1}' }] });
  const called = await client.chat.completions.create({ model: 'm', messages });
  assert.equal(called.choices[0]?.finish_reason, 'tool_calls');
  const listed: unknown = await (await client.models.list().asResponse()).json();
  assert.deepEqual(validateReply('ListModelsResponse', listed), []);
  assert.equal(provider.requests.length, 4);
});

const ENDINGS: readonly (readonly [Misbehaviour, (seen: Seen) => boolean])[] = [
  ['garbage', ({ status, body }) => status === 200 && !isJson(body)],
  ['wrong-shape', ({ status, body }) => status === 200 && isJson(body)],
  ['wrong-type', ({ headers }) => headers['content-type'] === 'text/html'],
  ['half-json', ({ error, body }) => error === null && !isJson(body)],
  ['short-body', ({ error, body }) => error !== null && body !== ''],
  ['half-stream', ({ error, body }) => error !== null && body.includes('data: ')],
  ['no-done', ({ error, body }) => error === null && !body.includes('[DONE]')],
  ['garbage-stream', ({ body }) => body.includes('[[[') && body.endsWith('[DONE]\n\n')],
  ['error-event', ({ body }) => body.includes('"error"') && body.endsWith('[DONE]\n\n')],
  ['huge-headers', ({ error }) => error !== null],
  ['gzip', ({ headers }) => headers['content-encoding'] === 'gzip'],
  ['close-before-head', ({ status, error }) => status === null && error !== null],
  ['not-http', ({ status, error }) => status === null && error !== null],
];

for (const [kind, ends] of ENDINGS)
  test(`misbehaves: ${kind}`, async (t) => {
    const provider = await started(t);
    provider.behave({ kind });
    const seen = await ask(provider, kind.includes('stream') || kind === 'no-done' || kind === 'error-event');
    assert.ok(ends(seen), JSON.stringify({ ...seen, body: seen.body.slice(0, 300) }));
    assert.equal((await ask(provider, false)).status, 200, 'the next request is answered well');
  });

for (const kind of ['silence', 'silence-inside', 'endless', 'endless-stream'] as const)
  test(`misbehaves: ${kind} goes on until the client leaves`, async (t) => {
    const provider = await started(t);
    provider.behave({ kind });
    const request = post(provider, true);
    request.on('response', (response) => response.on('data', () => {}).on('error', () => {}));
    request.on('error', () => {});
    await provider.arrived(1);
    request.destroy();
    const [received] = provider.requests;
    assert.equal((await received?.over)?.clientLeft, true);
  });

test('redirects and limits with the headers that are asked for', async (t) => {
  const provider = await started(t);
  provider.behave(
    { kind: 'status', status: 307, headers: { location: 'http://127.0.0.9:1/v1' } },
    { kind: 'status', status: 429, headers: { 'retry-after-ms': '20' } },
  );
  const redirected = await ask(provider, false);
  assert.deepEqual([redirected.status, redirected.headers.location], [307, 'http://127.0.0.9:1/v1']);
  const limited = await ask(provider, false);
  assert.deepEqual([limited.status, limited.headers['retry-after-ms']], [429, '20']);
  assert.deepEqual(validateReply('ErrorResponse', JSON.parse(limited.body)), []);
});

test('counts connections and bytes, also of a client that sends nothing', async (t) => {
  const provider = await started(t);
  assert.deepEqual([provider.connections, provider.bytes], [0, 0]);
  const mute = connect(provider.port, provider.host);
  await once(mute, 'connect');
  await ask(provider, false);
  mute.destroy();
  assert.equal(provider.connections, 2);
  assert.ok(provider.bytes > 0);
});

test('the description refuses replies that are not as described', () => {
  assert.notDeepEqual(validateReply('CreateChatCompletionResponse', { object: 'chat.completion' }), []);
  assert.notDeepEqual(validateReply('CreateChatCompletionStreamResponse', { choices: 1 }), []);
  assert.notDeepEqual(validateReply('ListModelsResponse', { object: 'list', data: [{}] }), []);
  assert.notDeepEqual(validateReply('ErrorResponse', { error: 'no' }), []);
});

async function started(t: TestContext): Promise<Provider> {
  const provider = await startProvider();
  t.after(() => provider.close());
  return provider;
}

function post(provider: Provider, stream: boolean): http.ClientRequest {
  const body = JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'hello there' }] });
  const request = http.request(`${provider.url}/v1/chat/completions`, { method: 'POST', agent: false });
  return request.end(body);
}

function ask(provider: Provider, stream: boolean): Promise<Seen> {
  return new Promise((resolve) => {
    const request = post(provider, stream);
    const failed = (error: Error): void =>
      resolve({ status: null, headers: {}, body: '', error: error.message });
    request.on('error', failed);
    request.on('response', (response) => {
      let body = '';
      const { statusCode = 0, headers } = response;
      const end = (error: string | null): void => resolve({ status: statusCode, headers, body, error });
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () => end(null));
      response.on('error', (error) => end(error.message));
    });
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
