import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { systemWorld } from '../src/core/world.ts';
import { importModel } from '../src/gateway/model/import.ts';
import { ModelStore } from '../src/gateway/model/store.ts';
import { nodeClient, pythonClient } from './support/clients.ts';
import type { ClientCase, ClientResult, OfficialClient } from './support/clients.ts';
import { loopbackProvider } from './support/governance.ts';
import { until } from './support/observe.ts';
import { validateReply } from './support/openai-schema.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { childPid } from './support/process.ts';
import { chatBody, leavesOf } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';
import { writeTinyGguf } from './support/tiny-gguf.ts';

/** Requests that the engine works on or lets wait; one more is too many. */
const ENGINE_PLACES = 18;
const MODEL_READY_MS = 60_000;
const ANSWERS = ['yes', 'no', 'perhaps'];
const SCHEMA = {
  type: 'object',
  properties: { answer: { type: 'string', enum: ANSWERS }, sure: { type: 'boolean' } },
  required: ['answer', 'sure'],
  additionalProperties: false,
};
const TOOL = { type: 'function', function: { name: 'open_gate', parameters: SCHEMA } };
const FORCED = { type: 'function', function: { name: 'open_gate' } };

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
const clients: readonly OfficialClient[] = [held.use(nodeClient()), held.use(pythonClient())];
let provider: Provider;
let site: Site;

before(async () => {
  provider = held.use(await startProvider());
  const models = await modelsWithTiny();
  site = await startSite({
    models,
    governance: {
      providers: [
        loopbackProvider({ id: 'home', url: provider.url, models: { m: 'c3' } }),
        { id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } },
      ],
      models: {
        scripted: { from: [{ endpoint: 'home/m', weight: 1 }] },
        tiny: { from: [{ endpoint: 'local/tiny', weight: 1 }] },
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  const ready = async (): Promise<boolean> => {
    const { checks } = JSON.parse((await site.call('/readyz')).text) as { checks: Record<string, string>[] };
    return checks.some(({ name, state }) => name === 'model tiny' && state === 'ok');
  };
  await until(ready, 'the local model is ready', MODEL_READY_MS);
});

after(async () => held.disposeAsync());

for (const client of clients) {
  test(`${client.name}: lists the models and looks one up`, async () => {
    const listed = await client.ask({ ...use('tiny'), do: 'models' });
    assert.deepEqual(idsOf(listed.reply), ['scripted', 'tiny']);
    const found = await client.ask({ ...use('tiny'), do: 'model', arguments: { model: 'tiny' } });
    assert.equal(Object(found.reply).id, 'tiny');
    const raw: unknown = JSON.parse((await site.call('/v1/models')).text);
    assert.deepEqual(validateReply('ListModelsResponse', raw), []);
  });

  for (const model of ['scripted', 'tiny']) {
    test(`${client.name}, ${model}: chats`, async () => {
      const { reply, receipt } = answered(await client.ask(use(model, { max_tokens: 12 })));
      assert.deepEqual(validateReply('CreateChatCompletionResponse', reply), []);
      const { choices, usage } = Object(reply);
      assert.equal(typeof choices[0].message.content, 'string');
      assert.ok(usage.total_tokens === usage.prompt_tokens + usage.completion_tokens);
      if (model === 'scripted') assert.equal(choices[0].message.content, '関所を通る荷物');
      await closedWell(receipt);
    });

    test(`${client.name}, ${model}: streams`, async () => {
      const { text, finish, usage, receipt } = joined(
        await client.ask(use(model, { stream: true, max_tokens: 12 })),
      );
      if (model === 'scripted') assert.equal(text, '関所を通る荷物');
      assert.match(finish, /^(stop|length)$/);
      assert.equal(usage, null);
      await closedWell(receipt);
    });

    test(`${client.name}, ${model}: streams with the figures of usage`, async () => {
      const more = { stream: true, stream_options: { include_usage: true }, max_tokens: 12 };
      const { usage } = joined(await client.ask(use(model, more)));
      assert.ok(Object(usage)['total_tokens'] > 0);
    });

    test(`${client.name}, ${model}: gets the call of a forced tool`, async () => {
      const tools = [{ name: 'open_gate', arguments: '{"answer":"yes","sure":true}' }];
      if (model === 'scripted') provider.behave({ kind: 'answer', tools });
      const more = { tools: [TOOL], tool_choice: FORCED };
      const { reply } = answered(await client.ask(use(model, more)));
      assert.deepEqual(validateReply('CreateChatCompletionResponse', reply), []);
      const { tool_calls: calls } = Object(reply).choices[0].message;
      assert.equal(calls.length, 1);
      assert.equal(calls[0].function.name, 'open_gate');
      followsSchema(calls[0].function.arguments);
    });

    test(`${client.name}, ${model}: gets the call of a forced tool in pieces`, async () => {
      const tools = [{ name: 'open_gate', arguments: '{"answer":"yes","sure":true}' }];
      if (model === 'scripted') provider.behave({ kind: 'answer', tools });
      const more = { tools: [TOOL], tool_choice: FORCED, stream: true };
      const { calls } = joined(await client.ask(use(model, more)));
      assert.equal(calls.name, 'open_gate');
      followsSchema(calls.arguments);
    });

    test(`${client.name}, ${model}: gets JSON that follows a schema`, async () => {
      const text = '{"answer":"no","sure":false}';
      if (model === 'scripted') provider.behave({ kind: 'answer', text });
      const format = { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema: SCHEMA } };
      const { reply } = answered(await client.ask(use(model, { response_format: format })));
      followsSchema(Object(reply).choices[0].message.content);
    });
  }
}

test('the engine with every place taken refuses the next, in both clients, and recovers', async () => {
  const leaving = new AbortController();
  // An engine that stands still lets no place become free meanwhile.
  const engine = childPid(site.pid, 1);
  assert.notEqual(engine, site.pid);
  process.kill(engine, 'SIGSTOP');
  const body = chatBody('never stop', { stream: true, temperature: 2 }).replace('"chat"', '"tiny"');
  const headers = { authorization: `Bearer ${site.adminKey}` };
  // Two more than there are places: once one of them is refused, every place is taken.
  const taking = Array.from({ length: ENGINE_PLACES + 2 }, async () =>
    fetch(new URL('/v1/chat/completions', site.url), {
      method: 'POST',
      headers,
      body,
      signal: leaving.signal,
    }),
  );
  await Promise.any(taking.map(async (reply) => assert.equal((await reply).status, 503)));
  try {
    for (const client of clients) {
      const { error } = await client.ask(use('tiny'));
      assert.deepEqual([error?.type, error?.status, error?.code], ['InternalServerError', 503, 'overloaded']);
      assert.match(error?.retry['retry-after'] ?? '', /^\d+$/);
      const { text } = await site.call(`/v1/receipts/${error?.requestId}?wait=10`);
      const [leaves] = leavesOf(text);
      assert.equal(leaves?.decision['effect'], 'allow');
      assert.deepEqual([leaves?.outcome?.['status'], leaves?.outcome?.['code']], ['not-sent', 'overloaded']);
    }
  } finally {
    process.kill(engine, 'SIGCONT');
    leaving.abort();
  }
  await Promise.allSettled(taking);
  const [node] = clients;
  await until(
    async () => (await node?.ask(use('tiny', { max_tokens: 2 })))?.error === undefined,
    'it answers again',
  );
});

async function modelsWithTiny(): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-clients-'));
  held.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = await writeTinyGguf(path.join(folder, 'tiny.gguf'));
  const models = path.join(folder, 'models');
  const facts = { name: 'tiny', licence: null, world: systemWorld(), record: async () => {} };
  await importModel(file, { ...facts, store: new ModelStore(models) });
  return models;
}

function use(model: string, more: Readonly<Record<string, unknown>> = {}): ClientCase {
  const messages = [{ role: 'user', content: '関所を通る荷物' }];
  const common = { key: site.adminKey, url: `${site.url}/v1`, headers: {}, retries: 0, fill: 0 };
  return { ...common, do: 'chat', arguments: { model, messages, seed: 7, ...more } };
}

function answered(result: ClientResult): { readonly reply: unknown; readonly receipt: string } {
  assert.equal(result.error, undefined, JSON.stringify(result.error));
  return { reply: result.reply, receipt: result.receipt ?? '' };
}

interface Joined {
  readonly text: string;
  readonly finish: string;
  readonly usage: unknown;
  readonly calls: { readonly name: string; readonly arguments: string };
  readonly receipt: string;
}

/** A stream's pieces put together; each must be as described. */
function joined(result: ClientResult): Joined {
  const { receipt } = answered(result);
  const whole = { text: '', finish: '', usage: null as unknown, calls: { name: '', arguments: '' } };
  for (const chunk of result.chunks ?? []) {
    assert.deepEqual(validateReply('CreateChatCompletionStreamResponse', chunk), []);
    const { choices, usage } = Object(chunk);
    whole.usage = usage ?? whole.usage;
    const { delta = {}, finish_reason: finish } = choices[0] ?? {};
    whole.text += delta.content ?? '';
    whole.finish = finish ?? whole.finish;
    for (const call of delta.tool_calls ?? []) {
      whole.calls.name += call.function.name ?? '';
      whole.calls.arguments += call.function.arguments ?? '';
    }
  }
  return { ...whole, receipt };
}

function followsSchema(text: unknown): void {
  const value: unknown = JSON.parse(String(text));
  const { answer, sure, ...more } = Object(value);
  assert.ok(ANSWERS.includes(answer), String(text));
  assert.equal(typeof sure, 'boolean');
  assert.deepEqual(more, {});
}

async function closedWell(receipt: string): Promise<void> {
  const { text } = await site.call(`/v1/receipts/${receipt}?wait=10`);
  assert.equal(JSON.parse(text).state, 'closed');
  assert.equal(leavesOf(text).at(-1)?.outcome?.['status'], 'ok');
}

function idsOf(models: unknown): readonly unknown[] {
  assert.ok(Array.isArray(models));
  return models.map((model) => String(Object(model).id)).toSorted((a, b) => (a < b ? -1 : 1));
}
