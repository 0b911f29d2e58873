import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI, { APIError, AzureOpenAI } from 'openai';
import { azureFiltered, PROMPT_RESULTS } from './support/azure-wire.ts';
import { vectorOf } from './support/embeddings-wire.ts';
import { loopbackProvider } from './support/governance.ts';
import { validateReply } from './support/openai-schema.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { leavesOf } from './support/road.ts';
import { ONE_ATTEMPT, startSite, type Site } from './support/site.ts';
import { tinyModels, tinyReady } from './support/tiny-model.ts';

const VERSION = '2024-10-21';
/** A name that no path holds unescaped. */
const DEPLOYMENT = 'team/gpt:4.1';
const TEXT = '関所を通る荷物';
const MESSAGES = [{ role: 'user', content: TEXT }] as const;
const TOOL = {
  type: 'function',
  function: { name: 'open_gate', parameters: { type: 'object', properties: {} } },
} as const;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let azure: Provider;
let abroad: Provider;
let site: Site;

before(async () => {
  azure = held.use(await startProvider());
  abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  const facts = { kind: 'azure', secret: 'azure' };
  const models = { 'gpt-4.1': 'c3' } as const;
  const only = (endpoint: string): object => ({ from: [{ endpoint, weight: 1 }] });
  site = await startSite({
    models: await tinyModels(held),
    secrets: { azure: 'azure-secret' },
    config: { routing: ONE_ATTEMPT },
    governance: {
      providers: [
        {
          ...loopbackProvider({ id: 'classic', url: azure.url, models }),
          ...facts,
          url: `${azure.url}/openai`,
          apiVersion: VERSION,
        },
        {
          ...loopbackProvider({ id: 'plain', url: azure.url, models }),
          ...facts,
          url: `${azure.url}/openai/v1`,
        },
        loopbackProvider({ id: 'openai', url: azure.url, models }),
        loopbackProvider({ id: 'abroad', url: abroad.url, models, country: 'US' }),
        { id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } },
      ],
      models: {
        [DEPLOYMENT]: only('classic/gpt-4.1'),
        v1: only('plain/gpt-4.1'),
        openai: only('openai/gpt-4.1'),
        abroad: only('abroad/gpt-4.1'),
        tiny: only('local/tiny'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  await tinyReady(site);
});

after(async () => held.disposeAsync());

function classic(deployment?: string): AzureOpenAI {
  const named = deployment === undefined ? {} : { deployment };
  return new AzureOpenAI({
    endpoint: site.url,
    apiKey: site.adminKey,
    apiVersion: VERSION,
    maxRetries: 0,
    ...named,
  });
}

/** The three families, each by the client that its users have. */
const FAMILIES: readonly { readonly name: string; readonly client: () => OpenAI }[] = [
  { name: 'deployments by api-key', client: () => classic() },
  {
    name: 'deployments by bearer',
    client: () =>
      new AzureOpenAI({
        endpoint: site.url,
        azureADTokenProvider: async () => Promise.resolve(site.adminKey),
        apiVersion: VERSION,
        maxRetries: 0,
      }),
  },
  {
    name: 'v1',
    client: () => new OpenAI({ baseURL: `${site.url}/openai/v1/`, apiKey: site.adminKey, maxRetries: 0 }),
  },
];

for (const { name, client } of FAMILIES) {
  test(`${name}: chats, with Azure's own members kept and a receipt`, async () => {
    const { data, response } = await client()
      .chat.completions.create({ model: DEPLOYMENT, messages: [...MESSAGES], seed: 7, n: 1, stop: ['x'] })
      .withResponse();
    assert.equal(data.choices[0]?.message.content, TEXT);
    assert.deepEqual(Object(data).prompt_filter_results, PROMPT_RESULTS);
    assert.deepEqual(validateReply('CreateChatCompletionResponse', data), []);
    const [leaf] = await leaves(response);
    assert.equal(leaf?.decision['surface'], 'azure');
    assert.equal(leaf?.decision['model'], DEPLOYMENT);
    assert.equal(leaf?.outcome?.['status'], 'ok');
    assert.equal(response.headers.get('apim-request-id'), response.headers.get('sekisho-receipt'));
  });

  test(`${name}: streams, the frame of the filters first`, async () => {
    const stream = await client().chat.completions.create({
      model: DEPLOYMENT,
      messages: [...MESSAGES],
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const [first, ...rest] = chunks;
    assert.deepEqual(first?.choices, []);
    assert.deepEqual(Object(first).prompt_filter_results, PROMPT_RESULTS);
    assert.equal(rest.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), TEXT);
    for (const chunk of rest)
      assert.deepEqual(validateReply('CreateChatCompletionStreamResponse', chunk), []);
    assert.ok((chunks.at(-1)?.usage?.total_tokens ?? 0) > 0);
  });

  test(`${name}: gets the calls of tools`, async () => {
    azure.behave({ kind: 'answer', tools: [{ name: 'open_gate', arguments: '{}' }] });
    const more = { tools: [TOOL], parallel_tool_calls: true };
    const { choices } = await client().chat.completions.create({
      model: DEPLOYMENT,
      messages: [...MESSAGES],
      ...more,
    });
    const call = choices[0]?.message.tool_calls?.[0];
    assert.ok(call?.type === 'function');
    assert.equal(call.function.name, 'open_gate');
  });

  test(`${name}: embeds texts, whose floats come as base64`, async () => {
    const { data, response } = await client()
      .embeddings.create({ model: DEPLOYMENT, input: ['one', 'two'], dimensions: 8 })
      .withResponse();
    assert.deepEqual(
      data.data.map(({ embedding }) => embedding),
      [vectorOf('"one"', 8), vectorOf('"two"', 8)],
    );
    const [leaf] = await leaves(response);
    assert.equal(leaf?.decision['surface'], 'azure');
    assert.equal(leaf?.outcome?.['status'], 'ok');
  });

  test(`${name}: lists the models and looks one up`, async () => {
    const ids = (await client().models.list()).data.map(({ id }) => id);
    assert.deepEqual(ids.sort(), ['abroad', 'openai', DEPLOYMENT, 'tiny', 'v1']);
    assert.equal((await client().models.retrieve(DEPLOYMENT)).id, DEPLOYMENT);
  });

  test(`${name}: a deployment that is not there`, async () => {
    const asked = client().chat.completions.create({ model: 'no/such', messages: [...MESSAGES] });
    const error = await errorOf(asked);
    assert.deepEqual(
      [error.status, error.code, error.constructor.name],
      [404, 'DeploymentNotFound', 'NotFoundError'],
    );
    assert.deepEqual(validateReply('ErrorResponse', { error: error.error }), []);
  });

  test(`${name}: a residency that policy denies`, async () => {
    const error = await errorOf(
      client().chat.completions.create({ model: 'abroad', messages: [...MESSAGES] }),
    );
    assert.deepEqual([error.status, error.code], [403, 'residency_policy_violation']);
    assert.equal(Object(error.error).innererror.decision_id, error.requestID);
    assert.equal(abroad.connections, 0);
  });

  test(`${name}: a parameter that would have the provider fetch`, async () => {
    const own = { data_sources: [{ type: 'azure_search' }] };
    const asked = client().chat.completions.create({ model: DEPLOYMENT, messages: [...MESSAGES], ...own });
    const error = await errorOf(asked);
    assert.deepEqual([error.status, error.code, error.param], [400, 'unsupported_parameter', 'data_sources']);
  });

  test(`${name}: a prompt that the provider's filters stop`, async () => {
    azure.behave({ kind: 'status', status: 400, body: azureFiltered() });
    const error = await errorOf(
      client().chat.completions.create({ model: DEPLOYMENT, messages: [...MESSAGES] }),
    );
    assert.deepEqual([error.status, error.code], [400, 'provider_error']);
  });

  test(`${name}: a stream that breaks raises`, async () => {
    azure.behave({ kind: 'half-stream' });
    const stream = await client().chat.completions.create({
      model: DEPLOYMENT,
      messages: [...MESSAGES],
      stream: true,
    });
    const error = await errorOf(read(stream));
    assert.equal(error.code, 'upstream_interrupted');
  });
}

test('the deployment of the path outranks the model of the body', async () => {
  const before = azure.requests.length;
  await classic(DEPLOYMENT).chat.completions.create({ model: 'other', messages: [...MESSAGES] });
  const sent = azure.requests[before];
  assert.equal(sent?.path, `/openai/deployments/gpt-4.1/chat/completions?api-version=${VERSION}`);
  assert.equal(sent.headers['api-key'], 'azure-secret');
  assert.equal(sent.headers.authorization, undefined);
  assert.deepEqual(JSON.parse(sent.body.toString()), { model: 'gpt-4.1', messages: MESSAGES });
});

test('a provider of the interface without versions gets the deployment in the body', async () => {
  const before = azure.requests.length;
  await classic('v1').chat.completions.create({ model: 'v1', messages: [...MESSAGES] });
  const sent = azure.requests[before];
  assert.equal(sent?.path, '/openai/v1/chat/completions');
  assert.deepEqual(JSON.parse(sent.body.toString()), { model: 'gpt-4.1', messages: MESSAGES, store: false });
});

test('a wrong key is refused in the form that the client knows', async () => {
  const client = new AzureOpenAI({ endpoint: site.url, apiKey: 'wrong', apiVersion: VERSION, maxRetries: 0 });
  const error = await errorOf(client.chat.completions.create({ model: DEPLOYMENT, messages: [...MESSAGES] }));
  assert.deepEqual(
    [error.status, error.code, error.constructor.name],
    [401, 'invalid_api_key', 'AuthenticationError'],
  );
});

const PATHS: readonly (readonly [string, string, number, string])[] = [
  ['POST', '/openai/deployments/v1/chat/completions', 404, 'not_found'],
  ['POST', '/openai/deployments/v1/chat/completions?api-version=latest', 404, 'not_found'],
  [
    'POST',
    `/openai/deployments/v1/chat/completions?api-version=${VERSION}&api-version=${VERSION}`,
    404,
    'not_found',
  ],
  ['GET', `/openai/deployments/v1/chat/completions?api-version=${VERSION}`, 405, 'method_not_allowed'],
  ['POST', `/openai/deployments/%zz/chat/completions?api-version=${VERSION}`, 404, 'DeploymentNotFound'],
  ['POST', `/openai/deployments//chat/completions?api-version=${VERSION}`, 404, 'not_found'],
  ['POST', `/openai/deployments/v1/images/generations?api-version=${VERSION}`, 404, 'not_found'],
  ['POST', `/openai/deployments/v1/constructor?api-version=${VERSION}`, 404, 'not_found'],
  ['POST', `/openai/chat/completions?api-version=${VERSION}`, 404, 'not_found'],
  ['GET', '/openai/models', 404, 'not_found'],
  ['GET', `/openai/models/none?api-version=${VERSION}`, 404, 'model_not_found'],
  ['GET', '/openai/v1/models?api-version=preview', 200, ''],
  ['GET', `/openai/v1/models?api-version=${VERSION}`, 400, 'invalid_request'],
];

for (const [method, at, status, code] of PATHS)
  test(`${method} ${at} gives ${status}`, async () => {
    const body = JSON.stringify({ model: 'v1', messages: MESSAGES });
    const reply = await site.call(at, { method, ...(method === 'POST' ? { body } : {}) });
    assert.equal(reply.status, status, reply.text);
    if (status === 200) return;
    const shown: unknown = JSON.parse(reply.text);
    assert.deepEqual(validateReply('ErrorResponse', shown), []);
    assert.equal(Object(shown).error.code, code);
  });

const EMBEDDERS = [DEPLOYMENT, 'v1', 'openai', 'tiny'];

for (const model of EMBEDDERS)
  test(`${model}: embeddings in base64 are those in floats, and follow the description`, async () => {
    const input = ['the gate', '関所'];
    const ask = async (format: string) => {
      const body = JSON.stringify({ model, input, encoding_format: format });
      const reply = await site.call('/v1/embeddings', { method: 'POST', body });
      assert.equal(reply.status, 200, reply.text);
      const { data, usage } = JSON.parse(reply.text) as OpenAI.CreateEmbeddingResponse;
      assert.ok(usage.prompt_tokens > 0);
      return { data, reply };
    };
    const floats = await ask('float');
    assert.deepEqual(validateReply('CreateEmbeddingResponse', JSON.parse(floats.reply.text)), []);
    const [base64] = (await ask('base64')).data;
    // The client's types know floats only, although it asks for base64 itself.
    const bytes = Buffer.from(String(base64?.embedding), 'base64');
    const decoded = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    assert.deepEqual(decoded, floats.data[0]?.embedding);
    assert.notDeepEqual(floats.data[0]?.embedding, floats.data[1]?.embedding);
    const [leaf] = await leaves(floats.reply);
    assert.equal(leaf?.decision['effect'], 'allow');
    assert.equal(leaf?.decision['surface'], 'openai');
    assert.equal(leaf?.outcome?.['status'], 'ok');
  });

for (const encoding of ['float', 'base64'] as const)
  test(`a provider that always sends ${encoding} is turned into what was asked for`, async () => {
    const client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: site.adminKey, maxRetries: 0 });
    for (const encoding_format of ['float', 'base64'] as const) {
      azure.behave({ kind: 'answer', encoding });
      const { data } = await client.embeddings.create({
        model: 'openai',
        input: [[1, 2], [3]],
        encoding_format,
      });
      const [first] = data;
      if (encoding_format === 'float') assert.deepEqual(first?.embedding, vectorOf('[1,2]'));
      else assert.equal(typeof first?.embedding, 'string');
    }
  });

test('the local vectors have length 1', async () => {
  const client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: site.adminKey, maxRetries: 0 });
  const { data } = await client.embeddings.create({ model: 'tiny', input: 'the gate' });
  assert.ok(Math.abs(Math.hypot(...(data[0]?.embedding ?? [])) - 1) < 1e-5);
});

const REFUSED: readonly (readonly [string, object, string, string])[] = [
  ['tiny', { input: 'a', dimensions: 8 }, 'unsupported_parameter', 'dimensions'],
  ['tiny', { input: [1, 2, 3] }, 'unsupported_parameter', 'input'],
  ['tiny', { input: 'a '.repeat(20_000) }, 'context_length_exceeded', 'input'],
  ['openai', { input: 'a', task: 'query' }, 'unsupported_parameter', 'task'],
  [DEPLOYMENT, { input: 'a', task: 'query' }, 'unsupported_parameter', 'task'],
  ['openai', { input: [] }, 'invalid_request', 'input'],
  ['openai', { input: ['a', ''] }, 'invalid_request', 'input'],
  ['openai', { input: ['a', 1] }, 'invalid_request', 'input'],
  ['openai', { input: 'a', dimensions: 0 }, 'invalid_request', 'dimensions'],
  ['openai', { input: 'a', encoding_format: 'hex' }, 'invalid_request', 'encoding_format'],
  ['no-such', { input: 'a' }, 'model_not_found', 'model'],
];

for (const [model, more, code, param] of REFUSED)
  test(`embeddings of ${model} refuse ${JSON.stringify(more).slice(0, 40)} by name`, async () => {
    const before = azure.requests.length;
    const reply = await site.call('/v1/embeddings', {
      method: 'POST',
      body: JSON.stringify({ model, ...more }),
    });
    const { error } = JSON.parse(reply.text) as { error: Record<string, unknown> };
    assert.deepEqual([error['code'], error['param']], [code, param]);
    assert.equal(azure.requests.length, before);
  });

for (const kind of ['garbage', 'wrong-shape', 'half-json', 'wrong-type'] as const)
  test(`embeddings from a provider that answers ${kind} are an error`, async () => {
    azure.behave({ kind });
    const reply = await site.call('/v1/embeddings', {
      method: 'POST',
      body: '{"model":"openai","input":"a"}',
    });
    assert.equal(reply.status, 502);
    const [leaf] = await leaves(reply);
    assert.equal(leaf?.outcome?.['status'], 'provider-error');
  });

test('embeddings are denied where policy denies, on record', async () => {
  const reply = await site.call('/v1/embeddings', { method: 'POST', body: '{"model":"abroad","input":"a"}' });
  assert.equal(reply.status, 403);
  const [leaf] = await leaves(reply);
  assert.equal(leaf?.decision['effect'], 'deny');
  assert.equal(abroad.connections, 0);
});

async function read(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

async function errorOf(asked: Promise<unknown>): Promise<APIError> {
  try {
    await asked;
  } catch (thrown) {
    if (thrown instanceof APIError) return thrown;
    throw thrown;
  }
  return assert.fail('expected an error');
}

async function leaves({ headers }: { readonly headers: Headers }): Promise<ReturnType<typeof leavesOf>> {
  const id = headers.get('sekisho-receipt');
  const receipt = await site.call(`/v1/receipts/${id}?wait=10`);
  assert.equal(receipt.status, 200);
  assert.equal(JSON.parse(receipt.text).state, 'closed');
  return leavesOf(receipt.text);
}
