import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../core/fault.ts';
import { NOTHING_ALLOWED } from '../../policy/endpoints.ts';
import type { BodyRules } from '../../policy/types.ts';
import { parseChat } from '../chat/request.ts';
import { prepareOpenAiChat } from './openai.ts';

const GOOD = { model: 'chat', messages: [{ role: 'user', content: 'hi' }] };
const AT = 'messages[0].content[0]';

/** The body that leaves. */
function sent(more: object, rules: Partial<BodyRules> = {}): Record<string, unknown> {
  const chat = parseChat(Buffer.from(JSON.stringify({ ...GOOD, ...more })));
  const target = { url: 'https://jp.example/v1', model: 'm', secret: null, timeoutMs: 1_000 };
  const { body } = prepareOpenAiChat(chat, { ...target, rules: { ...NOTHING_ALLOWED, ...rules } });
  return JSON.parse(body.toString());
}

function refusal(more: object, rules: Partial<BodyRules> = {}): readonly unknown[] {
  try {
    sent(more, rules);
  } catch (thrown) {
    assert.ok(thrown instanceof Fault && thrown.kind === 'invalid', String(thrown));
    const { param, rule = null } = thrown.details;
    return [thrown.code, param, rule];
  }
  return assert.fail('expected a refusal');
}

const refusedAt = (param: string, rule: string | null = null): readonly unknown[] => [
  'gateway.unsupported_parameter',
  param,
  rule,
];
const says = (...content: readonly object[]): object => ({ messages: [{ role: 'user', content }] });
const image = (url: unknown): object => says({ type: 'image_url', image_url: { url } });
const SCHEMA = { type: 'object', properties: { a: { $ref: 'https://evil.example/a.json' } } };
const tool = (more: object): object => ({ type: 'function', function: { name: 'f', ...more } });

/** What only a record allows: the member, the rule, a body that asks for it, and the rules that let it go. */
const GOVERNED: readonly (readonly [string, keyof BodyRules, object, Partial<BodyRules>])[] = [
  ['store', 'store', { store: true }, { store: true }],
  ['metadata', 'metadata', { metadata: { a: 'b' } }, { metadata: true }],
  ['prompt_cache_key', 'caches', { prompt_cache_key: 'k' }, { caches: true }],
  ['prompt_cache_retention', 'caches', { prompt_cache_retention: '24h' }, { caches: true }],
  ['prompt_cache_options', 'caches', { prompt_cache_options: {} }, { caches: true }],
  ['web_search_options', 'tools', { web_search_options: {} }, { tools: ['web_search'] }],
  ...['web_search', 'file_search', 'code_interpreter', 'computer_use_preview', 'image_generation', 'mcp'].map(
    (type) => ['tools[0].type', 'tools', { tools: [{ type }] }, { tools: [type] }] as const,
  ),
  ['tools[1].type', 'tools', { tools: [tool({}), { type: 'web_search' }] }, { tools: ['web_search'] }],
  ['tool_choice.type', 'tools', { tool_choice: { type: 'mcp' } }, { tools: ['mcp'] }],
  [
    'tool_choice.allowed_tools.tools[0].type',
    'tools',
    { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ type: 'mcp' }] } } },
    { tools: ['mcp'] },
  ],
  [
    'messages[0].tool_calls[0].type',
    'tools',
    { messages: [{ role: 'assistant', tool_calls: [{ id: 'c', type: 'mcp' }] }] },
    { tools: ['mcp'] },
  ],
  [
    'tools[0].server_url',
    'urls',
    { tools: [{ type: 'mcp', server_url: 'https://mcp.example/sse' }] },
    { tools: ['mcp'], urls: ['mcp.example'] },
  ],
  [`${AT}.type`, 'files', says({ type: 'file', file: { file_id: 'file-1' } }), { files: true }],
  [`${AT}.type`, 'files', says({ type: 'file', file: { file_data: 'data:,a' } }), { files: true }],
  [
    `${AT}.image_url.url`,
    'urls',
    image('https://media.example/x.png?a=1'),
    { urls: ['b.example', 'media.example'] },
  ],
  [
    'tools[0].function.parameters.properties.a.$ref',
    'urls',
    { tools: [tool({ parameters: SCHEMA })] },
    { urls: ['evil.example'] },
  ],
  [
    'response_format.json_schema.schema.properties.a.$ref',
    'urls',
    { response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA } } },
    { urls: ['evil.example'] },
  ],
  [
    'functions[0].parameters.properties.a.$ref',
    'urls',
    { functions: [{ name: 'f', parameters: SCHEMA }] },
    { urls: ['evil.example'] },
  ],
];

for (const [param, rule, more, rules] of GOVERNED)
  test(`${param} goes only when body.${rule} allows it: ${JSON.stringify(more).slice(0, 80)}`, () => {
    assert.deepEqual(refusal(more, { ...rules, [rule]: NOTHING_ALLOWED[rule] }), [
      'gateway.unsupported_parameter',
      param,
      `body.${rule}`,
    ]);
    assert.deepEqual(sent(more, rules), { ...GOOD, model: 'm', store: false, ...more });
  });

test('the provider is told not to keep the chat, whatever its record allows, unless the caller asks', () => {
  for (const rules of [{}, { store: true }])
    for (const more of [{}, { store: false }, { store: null }])
      assert.equal(sent(more, rules)['store'], false);
  assert.deepEqual(refusal({ store: 'yes' }, { store: true }), refusedAt('store', 'body.store'));
});

const EVERYTHING: Partial<BodyRules> = {
  store: true,
  caches: true,
  metadata: true,
  files: true,
  tools: ['mcp', 'web_search'],
  urls: ['media.example'],
};

for (const [param, more] of [
  ['data_sources', { data_sources: [] }],
  ['audio', { audio: { voice: 'a' } }],
  [`${AT}.type`, says({ type: 'video_url', video_url: { url: 'https://media.example/v' } })],
  [`${AT}.type`, says({ type: 'constructor' })],
  [`${AT}.url`, says({ type: 'text', text: 'a', url: 'https://media.example' })],
  [`${AT}.cache_control`, says({ type: 'text', text: 'a', cache_control: { type: 'ephemeral' } })],
  [
    `${AT}.image_url.file_id`,
    says({ type: 'image_url', image_url: { url: 'data:image/png;base64,AA', file_id: 'f' } }),
  ],
  ['messages[0].audio', { messages: [{ role: 'assistant', content: 'a', audio: { id: 'audio_1' } }] }],
  ['messages[0].attachments', { messages: [{ role: 'user', content: 'a', attachments: [] }] }],
  ['messages[0].cache_control', { messages: [{ role: 'user', content: 'a', cache_control: {} }] }],
  ['tools[0].server_url', { tools: [{ ...tool({}), server_url: 'https://media.example' }] }],
  ['tools[0].function.cache_control', { tools: [tool({ cache_control: {} })] }],
  ['prediction.content[0].type', { prediction: { type: 'content', content: [{ type: 'video' }] } }],
] as const)
  test(`no record allows ${param}: ${JSON.stringify(more).slice(0, 80)}`, () => {
    assert.deepEqual(refusal(more, EVERYTHING), refusedAt(param));
  });

for (const url of [
  'http://media.example/x',
  'https://media.example:8443/x',
  'https://user@media.example/x',
  'https://media.example.evil.example/x',
  'https://media.example./x',
  'https://media.example\\@evil.example/x',
  'https:media.example/x',
  'HTTPS://media.example/x',
  ' https://media.example/x',
  '//media.example/x',
  'ftp://media.example/x',
  'https://127.0.0.1/x',
  'file-abc',
  ' data:image/png,http://media.example',
  'data:image/svg+xml,<svg><image href="http://media.example/x"/></svg>',
])
  test(`an image at ${JSON.stringify(url)} is refused, though its host is listed`, () => {
    assert.deepEqual(refusal(image(url), EVERYTHING), refusedAt(`${AT}.image_url.url`, 'body.urls'));
  });

for (const url of [
  'https://evil.example/sse',
  '//evil.example',
  '\\\\evil.example\\a',
  'HTTP://evil.example',
])
  test(`a tool of the provider's that leads to ${url} is refused, though its kind is listed`, () => {
    const tools = [{ type: 'mcp', headers: { at: [url] } }];
    assert.equal(refusal({ tools }, EVERYTHING)[2], 'body.urls');
  });

for (const [param, part] of [
  [`${AT}.image_url.url`, { type: 'image_url', image_url: 'data:image/png;base64,AA' }],
  [`${AT}.image_url.url`, { type: 'image_url', image_url: ['http://media.example/x'] }],
  [
    `${AT}.input_audio.data`,
    { type: 'input_audio', input_audio: { data: 'http://m.example', format: 'wav' } },
  ],
] as const)
  test(`a malformed part is told by name: ${JSON.stringify(part)}`, () => {
    assert.deepEqual(refusal(says(part)), ['gateway.invalid_request', param, null]);
  });

for (const more of [
  says({ type: 'text', text: 'see http://media.example' }),
  says({ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } }),
  says({ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } }),
  { messages: [{ role: 'assistant', content: null, audio: null, refusal: null, annotations: [] }] },
  { messages: [{ role: 'assistant', content: 'a', reasoning_content: 'because' }] },
  { tools: [tool({ description: 'http://x', parameters: { $ref: '#/$defs/a' }, strict: true })] },
  { tools: [tool({ parameters: { properties: { $ref: { type: 'string' } } } })] },
  { tools: [tool({ parameters: { $schema: 'http://json-schema.org/draft-07/schema#' } })] },
  { tools: [{ type: 'custom', custom: { name: 'c', format: { type: 'text' } } }], tool_choice: 'auto' },
  { tool_choice: { type: 'function', function: { name: 'f' } } },
])
  test(`what travels in the body itself may go: ${JSON.stringify(more).slice(0, 80)}`, () => {
    assert.deepEqual(sent(more), { ...GOOD, model: 'm', store: false, ...more });
  });
