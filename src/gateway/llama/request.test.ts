import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { Fault } from '../../core/fault.ts';
import { CHAT_PARAMETERS, parseLlamaRequest } from './request.ts';

const HELLO = [{ role: 'user', content: 'hello' }];
const TOOL = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } };
const CALL = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } };

describe('the table of parameters', () => {
  test('decides on every parameter of the OpenAI description', () => {
    const description = parse(
      readFileSync(new URL('../../../fixtures/openai/openapi.yaml', import.meta.url), 'utf8'),
    );
    const { schemas } = description.components;
    const names = new Set<string>();
    const gather = (schema: { $ref?: string; allOf?: object[]; properties?: object }): void => {
      const reference = schema.$ref?.split('/').at(-1);
      if (reference !== undefined) gather(schemas[reference]);
      for (const part of schema.allOf ?? []) gather(part);
      for (const name of Object.keys(schema.properties ?? {})) names.add(name);
    };
    gather(schemas.CreateChatCompletionRequest);
    assert.ok(names.size > 30);
    assert.deepEqual(
      [...names].filter((name) => !Object.hasOwn(CHAT_PARAMETERS, name)),
      [],
    );
  });

  test('refuses by name what cannot be honoured', () => {
    const planted: Record<string, unknown> = {
      n: 2,
      logprobs: true,
      top_logprobs: 3,
      logit_bias: { '50256': -100 },
      modalities: ['text', 'audio'],
      audio: { voice: 'alloy', format: 'wav' },
      store: true,
      metadata: { a: 'b' },
      service_tier: 'flex',
      reasoning_effort: 'high',
      verbosity: 'low',
      prediction: { type: 'content', content: 'x' },
      web_search_options: {},
      functions: [{ name: 'f' }],
      function_call: 'auto',
      top_k: 40,
      constructor: 1,
    };
    for (const [name, value] of Object.entries(planted)) {
      assert.deepEqual(refused({ [name]: value }), ['gateway.unsupported_parameter', name]);
    }
  });

  test('takes what asks for nothing else than happens', () => {
    const harmless = { n: 1, logprobs: false, store: false, user: 'u', service_tier: 'auto', seed: null };
    assert.equal(read(harmless).job.seed, null);
    assert.equal(read({ modalities: ['text'], logit_bias: {}, metadata: null }).stream, false);
  });
});

describe('numbers', () => {
  test('outside their range are refused', () => {
    const planted: readonly (readonly [string, unknown])[] = [
      ['temperature', 2.1],
      ['temperature', '1'],
      ['top_p', -0.1],
      ['max_tokens', 0],
      ['max_tokens', 1.5],
      ['max_completion_tokens', 2 ** 60],
      ['presence_penalty', 3],
      ['frequency_penalty', Number.NaN],
      ['seed', 1.5],
      ['stop', ''],
      ['stop', ['a', 'b', 'c', 'd', 'e']],
      ['stop', [1]],
      ['stream', 'yes'],
    ];
    for (const [name, value] of planted)
      assert.deepEqual(refused({ [name]: value }), ['gateway.invalid_request', name]);
  });

  test('of 64 bits become a seed of 32, always the same', () => {
    assert.equal(read({ seed: 7 }).job.seed, 7);
    assert.equal(read({ seed: -1 }).job.seed, 2 ** 32 - 1);
    assert.equal(read({ seed: 2 ** 40 + 9 }).job.seed, 9);
  });

  test('of both limits: the newer name wins', () => {
    assert.equal(read({ max_tokens: 5, max_completion_tokens: 6 }).job.maxTokens, 6);
  });
});

describe('messages', () => {
  test('become turns in which a call stands with its result', () => {
    const { turns } = read({
      messages: [
        { role: 'developer', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        { role: 'assistant', content: 'wait', tool_calls: [CALL], refusal: null, annotations: [] },
        { role: 'tool', tool_call_id: 'c1', content: 'done' },
      ],
    }).job;
    assert.deepEqual(turns, [
      { role: 'system', text: 'be brief' },
      { role: 'user', text: 'ab' },
      { role: 'assistant', parts: ['wait', [{ name: 'f', arguments: { a: 1 }, result: 'done' }]] },
    ]);
  });

  test('that end with an assistant or a user are followed by a new turn', () => {
    assert.deepEqual(read({}).job.turns.at(-1), { role: 'assistant', parts: [] });
    const { turns } = read({ messages: [...HELLO, { role: 'assistant', content: 'hi' }] }).job;
    assert.deepEqual(turns.slice(1), [
      { role: 'assistant', parts: ['hi'] },
      { role: 'assistant', parts: [] },
    ]);
  });

  test('other than text are refused by name', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    assert.deepEqual(refused({ messages: [{ role: 'user', content: [image] }] }), [
      'gateway.unsupported_parameter',
      'messages.0.content.0.type',
    ]);
    const named = [{ role: 'user', content: 'x', name: 'bob' }];
    assert.deepEqual(refused({ messages: named }), ['gateway.unsupported_parameter', 'messages.0.name']);
  });

  test('that are malformed are refused', () => {
    const answer = { role: 'tool', tool_call_id: 'c1', content: 'x' };
    const calling = { role: 'assistant', content: null, tool_calls: [CALL] };
    const planted: unknown[] = [
      null,
      'hello',
      [],
      [null],
      [{ role: 'king', content: 'x' }],
      [{ role: 'toString', content: 'x' }],
      [{ role: 'user' }],
      [{ role: 'user', content: 5 }],
      [{ role: 'user', content: [] }],
      [{ role: 'assistant' }],
      [answer],
      [calling],
      [calling, ...HELLO, answer],
      [calling, answer, answer],
      [{ ...calling, tool_calls: [CALL, CALL] }, answer],
    ];
    for (const messages of planted) {
      assert.equal(refused({ messages })[0], 'gateway.invalid_request', JSON.stringify(messages));
    }
  });
});

describe('the form of the answer', () => {
  test('follows tools and tool_choice', () => {
    const form = (choice: unknown) => read({ tools: [TOOL], tool_choice: choice }).job.form.kind;
    assert.equal(form(null), 'tools');
    assert.equal(form('auto'), 'tools');
    assert.equal(form('none'), 'text');
    assert.equal(form('required'), 'required');
    assert.equal(form({ type: 'function', function: { name: 'f' } }), 'forced');
    assert.equal(
      refused({ tools: [TOOL], tool_choice: { type: 'function', function: { name: 'g' } } })[0],
      'gateway.invalid_request',
    );
    assert.equal(refused({ tools: [{ type: 'web_search' }] })[0], 'gateway.unsupported_parameter');
    assert.equal(refused({ tools: [TOOL, TOOL] })[0], 'gateway.invalid_request');
    assert.equal(refused({ tools: [TOOL], response_format: { type: 'json_object' } })[1], 'response_format');
  });

  test('is a schema whose every promise is kept, or the keyword is named', () => {
    const param = (schema: object): string | null =>
      refused({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } })[1];
    const at = 'response_format.json_schema.schema';
    const property = (schema: object): object => ({ type: 'object', properties: { a: schema } });
    assert.equal(param(property({ type: 'string', pattern: '^a' })), `${at}.properties.a.pattern`);
    assert.equal(param(property({ type: 'integer', minimum: 3 })), `${at}.properties.a.minimum`);
    assert.equal(param(property({ type: 'string', format: 'email' })), `${at}.properties.a.format`);
    assert.equal(param(property({ $ref: '#/$defs/b' })), `${at}.properties.a.$ref`);
    assert.equal(param(property({ enum: [{}] })), `${at}.properties.a.enum`);
    assert.equal(param(property({ type: 'array', maxItems: 1e9 })), `${at}.properties.a.maxItems`);
    assert.equal(
      param(property({ oneOf: [{ type: 'null' }], minLength: 1 })),
      `${at}.properties.a.minLength`,
    );
    assert.equal(param(property({ type: 'rocket' })), `${at}.properties.a.type`);
    assert.equal(param({ not: {} }), `${at}.not`);
  });

  test('is bounded however the schema is nested', () => {
    let deep: object = { type: 'null' };
    for (let i = 0; i < 200; i++) deep = { type: 'array', items: deep };
    const wide = {
      type: 'object',
      properties: Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`p${i}`, {}])),
    };
    for (const schema of [deep, wide]) {
      const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
      assert.equal(refused({ response_format: format })[0], 'gateway.unsupported_parameter');
    }
  });

  test('of a tool that is only a hint keeps what it can', () => {
    const parameters = { properties: { a: { type: 'string', pattern: '^a', description: 'what' } } };
    const tools = [{ type: 'function', function: { name: 'f', parameters } }];
    const { form } = read({ tools }).job;
    assert.ok(form.kind === 'tools');
    assert.deepEqual(form.tools[0]?.parameters, {
      properties: { a: { type: 'string', description: 'what' } },
      type: 'object',
    });
    const strict = [{ type: 'function', function: { name: 'f', strict: true, parameters } }];
    assert.equal(refused({ tools: strict })[1], 'tools.0.function.parameters.properties.a.pattern');
  });
});

function read(more: object) {
  return parseLlamaRequest({ model: 'chat', messages: HELLO, ...more });
}

function refused(more: object): [code: string, param: string | null] {
  try {
    read(more);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.kind, 'invalid');
    const { param } = error.details;
    return [error.code, typeof param === 'string' ? param : null];
  }
  throw new Error(`not refused: ${JSON.stringify(more).slice(0, 200)}`);
}
