import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../core/fault.ts';
import { Secret } from '../../core/secret.ts';
import { NOTHING_ALLOWED } from '../../policy/endpoints.ts';
import { parseChat } from '../chat/request.ts';
import { parseEmbeddings } from '../embeddings/request.ts';
import { prepareAzureChat, prepareAzureEmbeddings, type AzureTarget } from './azure.ts';

const CLASSIC: AzureTarget = {
  url: 'https://bank.openai.azure.com/openai/',
  apiVersion: '2024-10-21',
  deployment: 'gpt 4/o',
  secret: new Secret('top'),
  rules: NOTHING_ALLOWED,
  timeoutMs: 1_000,
};
const V1: AzureTarget = { ...CLASSIC, url: 'https://bank.openai.azure.com/openai/v1', apiVersion: null };
const GOOD = { model: 'chat', messages: [{ role: 'user', content: 'hi' }] };

const chat = (more: object = {}): ReturnType<typeof parseChat> =>
  parseChat(Buffer.from(JSON.stringify({ ...GOOD, ...more })));
const embeddings = (more: object): ReturnType<typeof parseEmbeddings> =>
  parseEmbeddings(Buffer.from(JSON.stringify({ model: 'embed', ...more })));
const sent = ({ body }: { body: Buffer }): unknown => JSON.parse(body.toString());

test('with a version the path names the deployment, escaped, and nothing is said of keeping', () => {
  const request = prepareAzureChat(chat({ store: false, stream: true }), CLASSIC);
  assert.equal(request.path, '/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21');
  assert.deepEqual(sent(request), { ...GOOD, model: 'gpt 4/o', stream: true });
  assert.equal(request.headers['accept'], 'text/event-stream');
  assert.equal(request.headers['api-key'], 'top');
  assert.equal(request.headers['authorization'], undefined);
});

test('without a version the body names it, and the provider is told not to keep the chat', () => {
  const request = prepareAzureChat(chat(), V1);
  assert.equal(request.path, '/openai/v1/chat/completions');
  assert.deepEqual(sent(request), { ...GOOD, model: 'gpt 4/o', store: false });
});

test('embeddings go beside the chats, with every member', () => {
  const asked = { input: ['a'], dimensions: 8, encoding_format: 'base64', user: 'u' };
  const request = prepareAzureEmbeddings(embeddings(asked), CLASSIC);
  assert.equal(request.path, '/openai/deployments/gpt%204%2Fo/embeddings?api-version=2024-10-21');
  assert.deepEqual(sent(request), { ...asked, model: 'gpt 4/o' });
  assert.equal(prepareAzureEmbeddings(embeddings(asked), V1).path, '/openai/v1/embeddings');
});

test('without a secret no key is sent', () => {
  assert.equal(prepareAzureChat(chat(), { ...V1, secret: null }).headers['api-key'], undefined);
});

for (const [param, more] of [
  ['data_sources', { data_sources: [] }],
  ['store', { store: true }],
  ['metadata', { metadata: {} }],
  ['tools[0].type', { tools: [{ type: 'web_search' }] }],
] as const)
  for (const target of [CLASSIC, V1])
    test(`${param} is refused by name, ${target.apiVersion === null ? 'without' : 'with'} a version`, () => {
      assert.throws(
        () => prepareAzureChat(chat(more), target),
        (thrown) =>
          thrown instanceof Fault &&
          thrown.code === 'gateway.unsupported_parameter' &&
          thrown.details['param'] === param,
      );
    });
