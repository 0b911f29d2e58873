import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../core/fault.ts';
import { parseChat } from './request.ts';

const parse = (body: unknown): ReturnType<typeof parseChat> => parseChat(Buffer.from(JSON.stringify(body)));
const good = { model: 'chat', messages: [{ role: 'user', content: 'hi' }] };

function refusedParam(body: unknown): unknown {
  try {
    parse(body);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.details['param'];
  }
  return assert.fail('expected a refusal');
}

test('reads what decides the road and the framing, and keeps the rest as it is', () => {
  const chat = parse({ ...good, stream: true, stream_options: { include_usage: true }, seed: 7 });
  assert.equal(chat.model, 'chat');
  assert.equal(chat.stream, true);
  assert.equal(chat.includeUsage, true);
  assert.equal(chat.body['seed'], 7);
});

test('an assistant message may have no content', () => {
  assert.ok(parse({ ...good, messages: [{ role: 'assistant', content: null, tool_calls: [] }] }));
});

for (const [param, body] of [
  ['model', { ...good, model: '' }],
  ['model', { messages: good.messages }],
  ['model', { ...good, model: 'x'.repeat(257) }],
  ['messages', { model: 'chat' }],
  ['messages', { model: 'chat', messages: [] }],
  ['messages[0]', { ...good, messages: ['hi'] }],
  ['messages[0].role', { ...good, messages: [{ role: 'root', content: 'hi' }] }],
  ['messages[0].content', { ...good, messages: [{ role: 'user', content: 5 }] }],
  ['messages[0].content', { ...good, messages: [{ role: 'user' }] }],
  ['messages[0].content[0]', { ...good, messages: [{ role: 'user', content: ['hi'] }] }],
  ['stream', { ...good, stream: 'yes' }],
  ['stream_options', { ...good, stream_options: { include_usage: true } }],
  ['stream_options', { ...good, stream: true, stream_options: [] }],
] as const) {
  test(`names ${param} in ${JSON.stringify(body).slice(0, 70)}`, () => {
    assert.equal(refusedParam(body), param);
  });
}
