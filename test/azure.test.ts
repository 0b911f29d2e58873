import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { APIError, AzureOpenAI } from 'openai';
import { DEPLOYMENT, useAzureSite, VERSION } from './support/azure-site.ts';
import { azureFiltered, PROMPT_RESULTS } from './support/azure-wire.ts';
import { vectorOf } from './support/embeddings-wire.ts';
import { validateReply } from './support/openai-schema.ts';

const TEXT = '関所を通る荷物';
const MESSAGES = [{ role: 'user', content: TEXT }] as const;
const TOOL = {
  type: 'function',
  function: { name: 'open_gate', parameters: { type: 'object', properties: {} } },
} as const;

const { site, azure, abroad, leaves } = await useAzureSite();

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
    for (const stream of [false, true]) {
      azure.behave({ kind: 'status', status: 400, body: azureFiltered() });
      const error = await errorOf(
        client().chat.completions.create({ model: DEPLOYMENT, messages: [...MESSAGES], stream }),
      );
      assert.deepEqual([error.status, error.code, error.param], [400, 'content_filter', 'prompt']);
      const { innererror } = Object(error.error);
      assert.equal(innererror.code, 'ResponsibleAIPolicyViolation');
      assert.deepEqual(innererror.content_filter_result.hate, { filtered: true, severity: 'high' });
    }
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
