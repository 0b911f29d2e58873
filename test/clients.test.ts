import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allClients } from './support/clients/all.ts';
import { toolResult } from './support/clients/client.ts';
import type { Client, ClientCase, ClientResult, Said } from './support/clients/client.ts';
import { scanWithCanary } from './support/compat-canary.ts';
import { until } from './support/observe.ts';
import { vectorOf } from './support/embeddings-wire.ts';
import type { Provider } from './support/provider.ts';
import type { Behaviour } from './support/provider-behaviour.ts';
import { childPid } from './support/process.ts';
import { chatBody, leavesOf } from './support/road.ts';
import type { Site } from './support/site.ts';
import { siteWithTwoModels } from './support/two-models.ts';

/** Requests that the engine works on or lets wait; one more is too many. */
const ENGINE_PLACES = 18;
const ANSWERS = ['yes', 'no', 'perhaps'];
const SCHEMA = {
  type: 'object',
  properties: { answer: { type: 'string', enum: ANSWERS }, sure: { type: 'boolean' } },
  required: ['answer', 'sure'],
  additionalProperties: false,
};

/** What the scanner's four requests for chat ask a model to answer. */
const CANARY_ANSWERS: readonly Behaviour[] = [
  { kind: 'answer' },
  { kind: 'answer' },
  { kind: 'answer', tools: [{ name: 'compatcanary_echo', arguments: '{"value":"CANARY_OK"}' }] },
  { kind: 'answer', text: '{"status":"ok"}' },
];

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
const clients = allClients(held);
let provider: Provider;
let site: Site;

before(async () => {
  ({ site, provider } = await siteWithTwoModels(held));
});

after(async () => held.disposeAsync());

for (const client of clients.filter(({ wire }) => wire))
  test(`${client.name}: lists the models and looks one up`, async () => {
    const listed = await client.ask({ ...use('tiny'), do: 'models' });
    assert.deepEqual(listed.models?.toSorted(), ['scripted', 'tiny']);
    const found = await client.ask({ ...use('tiny'), do: 'model', arguments: { model: 'tiny' } });
    assert.deepEqual(found.models, ['tiny']);
  });

for (const client of clients) {
  for (const model of ['scripted', 'tiny']) {
    test(`${client.name}, ${model}: chats`, async () => {
      const { said, receipt } = answered(await client.ask(use(model, { max_tokens: 12 })));
      assert.ok(said.usage !== null && said.usage.total === said.usage.input + said.usage.output);
      if (model === 'scripted') assert.equal(said.text, '関所を通る荷物');
      assert.match(said.finish, /^(stop|length)$/);
      await closedWell(client, receipt);
    });

    test(`${client.name}, ${model}: streams`, async () => {
      const { said, receipt } = answered(await client.ask(use(model, { stream: true, max_tokens: 12 })));
      if (model === 'scripted') assert.deepEqual([said.text, said.pieces], ['関所を通る荷物', 4]);
      assert.match(said.finish, /^(stop|length)$/);
      // The others ask for the figures of usage of their own accord.
      if (client.wire) assert.equal(said.usage, null);
      await closedWell(client, receipt);
    });

    test(`${client.name}, ${model}: streams with the figures of usage`, async () => {
      const asked = { stream: true, ...(client.wire ? { stream_options: { include_usage: true } } : {}) };
      const { said } = answered(await client.ask(use(model, { ...asked, max_tokens: 12 })));
      assert.ok((said.usage?.total ?? 0) > 0);
    });

    for (const stream of [false, true])
      test(`${client.name}, ${model}: gets the call of a forced tool${stream ? ' in pieces' : ''}`, async () => {
        if (model === 'scripted') provider.behave({ kind: 'answer', tools: [call('open_gate')] });
        const more = { tools: [tool('open_gate')], tool_choice: forced('open_gate'), stream };
        const { said, receipt } = answered(await client.ask(use(model, more)));
        assert.deepEqual(
          said.calls.map(({ name }) => name),
          ['open_gate'],
        );
        followsSchema(said.calls[0]?.arguments);
        await closedWell(client, receipt);
      });

    test(`${client.name}, ${model}: gets JSON that follows a schema`, async () => {
      const text = '{"answer":"no","sure":false}';
      if (model === 'scripted') provider.behave({ kind: 'answer', text });
      const format = { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema: SCHEMA } };
      const { said } = answered(await client.ask(use(model, { response_format: format })));
      followsSchema(said.text);
      if (model === 'scripted') {
        const sent = sentToProvider().response_format.json_schema;
        assert.deepEqual([sent.name, sent.strict, sent.schema], ['verdict', true, SCHEMA]);
      }
    });
  }

  for (const stream of [false, true])
    test(`${client.name}: gets parallel calls apart${stream ? ', streamed' : ''}`, async () => {
      provider.behave({ kind: 'answer', tools: [call('open_gate'), call('close_gate')] });
      const tools = [tool('open_gate'), tool('close_gate')];
      const { said } = answered(await client.ask(use('scripted', { tools, stream })));
      assert.deepEqual(
        said.calls.map(({ id, name }) => [id, name]),
        [
          ['call_scripted_0', 'open_gate'],
          ['call_scripted_1', 'close_gate'],
        ],
      );
      for (const { arguments: given } of said.calls) followsSchema(given);
    });

  test(`${client.name}: hands the results of parallel calls back and gets the answer to them`, async () => {
    provider.behave({ kind: 'answer', tools: [call('open_gate'), call('close_gate')] });
    provider.behave({ kind: 'answer', text: 'both done' });
    const tools = [tool('open_gate'), tool('close_gate')];
    const { said, receipt } = answered(await client.ask({ ...use('scripted', { tools }), do: 'loop' }));
    assert.deepEqual([said.text, said.finish], ['both done', 'stop']);
    const results = sentToProvider().messages.slice(-2);
    assert.deepEqual(
      results.map((one: Record<string, unknown>) => [one['role'], one['tool_call_id'], one['content']]),
      ['open_gate', 'close_gate'].map((name, i) => ['tool', `call_scripted_${i}`, toolResult(call(name))]),
    );
    await closedWell(client, receipt);
  });
}

for (const client of clients)
  test(`${client.name}: messages that do not fit the local model are refused before any of it is answered`, async () => {
    const { error } = await client.ask({ ...use('tiny'), fill: 40_000 });
    assert.deepEqual(
      [error?.status, error?.code, error?.param],
      [400, 'context_length_exceeded', 'messages'],
    );
    const { text } = await site.call(`/v1/receipts/${error?.requestId}?wait=10`);
    assert.equal(leavesOf(text).at(-1)?.outcome?.['status'], 'not-sent');
  });

for (const client of clients)
  for (const model of ['scripted', 'tiny'])
    test(`${client.name}, ${model}: embeds texts, each into its own vector`, async () => {
      const input = ['関所', 'the gate'];
      const more = model === 'scripted' ? { dimensions: 8 } : {};
      const asked = { ...use(model), do: 'embeddings', arguments: { model, input, ...more } } as const;
      const { error, vectors, receipt } = await client.ask(asked);
      assert.equal(error, undefined, JSON.stringify(error));
      assert.equal(vectors?.length, 2);
      assert.notDeepEqual(vectors[0], vectors[1]);
      if (model === 'scripted') {
        assert.deepEqual(
          vectors,
          input.map((text) => vectorOf(JSON.stringify(text), 8)),
        );
        // The local model's vectors have length 1.
      } else for (const vector of vectors) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
      await closedWell(client, receipt ?? '');
    });

for (const client of clients.filter(({ name }) => !name.startsWith('LangChain')))
  test(`${client.name}: tries again when the provider's limit says when`, async () => {
    const limited = { kind: 'status', status: 429, headers: { 'retry-after-ms': '20' } } as const;
    provider.behaveAlways(limited);
    void provider.arrived(provider.requests.length + 1).then(() => provider.behaveAlways({ kind: 'answer' }));
    const { said } = answered(await client.ask({ ...use('scripted'), retries: null }));
    assert.equal(said.text, '関所を通る荷物');
  });

for (const model of ['scripted', 'tiny'])
  test(`CompatCanary, ${model}: every probe of chat passes`, async () => {
    if (model === 'scripted') provider.behave(...CANARY_ANSWERS);
    const report = await scanWithCanary('chat', { url: site.url, model, key: site.adminKey });
    const probes = [
      'models.list',
      'chat.basic',
      'chat.streaming',
      'chat.tool_call',
      'chat.structured_output',
    ];
    assert.deepEqual(report, { exit: 0, probes: Object.fromEntries(probes.map((id) => [id, 'pass'])) });
  });

test('the engine with every place taken refuses the next, in every client, and recovers', async () => {
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
      assert.deepEqual([error?.status, error?.code], [503, 'overloaded']);
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

function use(model: string, more: Readonly<Record<string, unknown>> = {}): ClientCase {
  const messages = [{ role: 'user', content: '関所を通る荷物' }];
  const common = { key: site.adminKey, url: site.url, below: '', headers: {}, retries: 0, fill: 0 };
  return { ...common, do: 'chat', arguments: { model, messages, seed: 7, ...more } };
}

function tool(name: string): object {
  return { type: 'function', function: { name, parameters: SCHEMA } };
}

function forced(name: string): object {
  return { type: 'function', function: { name } };
}

function call(name: string): { name: string; arguments: string } {
  return { name, arguments: '{"answer":"yes","sure":true}' };
}

// The body of the last request, as the provider got it.
function sentToProvider() {
  return Object(JSON.parse(provider.requests.at(-1)?.body.toString() ?? ''));
}

function answered(result: ClientResult): { readonly said: Said; readonly receipt: string } {
  assert.equal(result.error, undefined, JSON.stringify(result.error));
  assert.ok(result.said !== undefined);
  return { said: result.said, receipt: result.receipt ?? '' };
}

function followsSchema(text: unknown): void {
  const value: unknown = JSON.parse(String(text));
  const { answer, sure, ...more } = Object(value);
  assert.ok(ANSWERS.includes(answer), String(text));
  assert.equal(typeof sure, 'boolean');
  assert.deepEqual(more, {});
}

async function closedWell({ surface }: Client, receipt: string): Promise<void> {
  const { text } = await site.call(`/v1/receipts/${receipt}?wait=10`);
  assert.equal(JSON.parse(text).state, 'closed');
  const last = leavesOf(text).at(-1);
  assert.deepEqual([last?.decision['surface'], last?.outcome?.['status']], [surface, 'ok']);
}
