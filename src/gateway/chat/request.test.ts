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

test('an image that the provider would have to fetch is refused, an inlined one is not', () => {
  const message = (url: string): unknown => ({
    ...good,
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
  });
  assert.equal(refusedParam(message('https://media.example/x.png')), 'messages[0].content[0].image_url.url');
  assert.ok(parse(message('data:image/png;base64,AA==')));
});

const partly = (part: unknown): unknown => ({ ...good, messages: [{ role: 'user', content: [part] }] });
const AT = 'messages[0].content[0]';

for (const [param, part] of [
  [`${AT}.type`, { type: 'video_url', video_url: { url: 'http://media.example/v' } }],
  [`${AT}.type`, { type: 'file', file: { file_id: 'file-1' } }],
  [`${AT}.type`, { type: 'constructor' }],
  [`${AT}.image_url.url`, { type: 'image_url', image_url: ['http://media.example/x'] }],
  [`${AT}.image_url.url`, { type: 'image_url', image_url: 'http://media.example/x' }],
  [`${AT}.image_url.url`, { type: 'image_url', image_url: { url: ' data:image/png,http://media.example' } }],
  [
    `${AT}.image_url.file_id`,
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AA', file_id: 'f' } },
  ],
  [`${AT}.url`, { type: 'text', text: 'a', url: 'http://media.example' }],
  [
    `${AT}.input_audio.data`,
    { type: 'input_audio', input_audio: { data: 'http://m.example', format: 'wav' } },
  ],
] as const) {
  test(`a part that only refers to its content is refused: ${JSON.stringify(part).slice(0, 80)}`, () => {
    assert.equal(refusedParam(partly(part)), param);
  });
}

test('text, inlined images and inlined audio may go', () => {
  assert.ok(parse(partly({ type: 'text', text: 'see http://media.example' })));
  assert.ok(
    parse(partly({ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } })),
  );
  assert.ok(parse(partly({ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } })));
});
