import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { DEPLOYMENT, useAzureSite } from './support/azure-site.ts';
import { vectorOf } from './support/embeddings-wire.ts';
import { validateReply } from './support/openai-schema.ts';

const { site, azure, abroad, leaves } = await useAzureSite();

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

test('an embeddings answer without end is cut', async () => {
  azure.behave({ kind: 'endless' });
  const reply = await site.call('/v1/embeddings', { method: 'POST', body: '{"model":"openai","input":"a"}' });
  assert.equal(reply.status, 502);
  const [leaf] = await leaves(reply);
  // Buckets are powers of two: 1 MiB and a vector's room, and the piece that was too much.
  assert.equal(leaf?.outcome?.['out'], 2 * 1024 * 1024);
});

test('2,048 inputs give the largest vectors whole', async () => {
  const client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: site.adminKey, maxRetries: 0 });
  const input = Array.from({ length: 2_048 }, (_, i) => `part ${i}`);
  const { data } = await client.embeddings.create({ model: 'openai', input, dimensions: 3_072 });
  assert.equal(data.length, 2_048);
  assert.equal(data.at(-1)?.embedding.length, 3_072);
});

test('local vectors are the same side by side as alone', async () => {
  const client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: site.adminKey, maxRetries: 0 });
  const inputs = ['the gate', '関所', 'a road', '道'];
  const embed = async (input: string): Promise<unknown> =>
    (await client.embeddings.create({ model: 'tiny', input })).data;
  const alone = [];
  for (const input of inputs) alone.push(await embed(input));
  assert.deepEqual(await Promise.all(inputs.map(embed)), alone);
});

test('embeddings are denied where policy denies, on record', async () => {
  const reply = await site.call('/v1/embeddings', { method: 'POST', body: '{"model":"abroad","input":"a"}' });
  assert.equal(reply.status, 403);
  const [leaf] = await leaves(reply);
  assert.equal(leaf?.decision['effect'], 'deny');
  assert.equal(abroad.connections, 0);
});
