import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { loopbackProvider } from './support/governance.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, receiptOf, verified } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let closed: Provider;
let open: Provider;
let site: Site;

before(async () => {
  closed = held.use(await startProvider());
  open = held.use(await startProvider());
  const models = { m: 'c3' } as const;
  const endpoint = (id: string): object => ({ endpoint: `${id}/m`, weight: 1 });
  site = await startSite({
    governance: {
      providers: [
        loopbackProvider({ id: 'closed', url: closed.url, models }),
        {
          ...loopbackProvider({ id: 'open', url: open.url, models, residency: { retentionDays: 30 } }),
          body: { store: true, metadata: true, tools: ['web_search'] },
        },
        loopbackProvider({ id: 'abroad', url: 'http://127.0.0.1:9', models, country: 'US' }),
      ],
      models: {
        chat: { from: [endpoint('closed')] },
        either: { from: [endpoint('closed'), endpoint('open')] },
        abroad: { from: [endpoint('abroad')] },
      },
    },
  });
  held.defer(async () => void (await site.stop()));
});

after(async () => held.disposeAsync());

const ASKING: readonly (readonly [string, string, Readonly<Record<string, unknown>>])[] = [
  ['store', 'body.store', { store: true }],
  ['metadata', 'body.metadata', { metadata: { a: 'b' } }],
  ['prompt_cache_key', 'body.caches', { prompt_cache_key: 'k' }],
  ['tools[0].type', 'body.tools', { tools: [{ type: 'web_search' }] }],
  [
    'messages[0].content[0].image_url.url',
    'body.urls',
    {
      messages: [
        {
          role: 'user',
          content: [{ type: 'image_url', image_url: { url: 'https://127.0.0.4/CNRY.png' } }],
        },
      ],
    },
  ],
  [
    'messages[0].content[0].type',
    'body.files',
    { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] },
  ],
];

for (const at of ['/v1/chat/completions', '/openai/v1/chat/completions'])
  for (const [param, rule, more] of ASKING)
    test(`${at}: ${param} is refused by name, with the rule that would allow it, and nothing leaves`, async () => {
      const before = [closed.connections, open.connections];
      const asked = await chat(site, chatBody('hi', more), {}, at);
      const { error } = JSON.parse(asked.text);
      assert.deepEqual(
        [asked.status, error.code, error.param, error.innererror],
        [400, 'unsupported_parameter', param, { rule }],
      );
      assert.equal(asked.headers.get('sekisho-receipt'), null);
      assert.deepEqual([closed.connections, open.connections], before);
    });

test('what one record allows goes to that endpoint alone, and the other is told to keep nothing', async () => {
  const asking = { model: 'either', store: true, metadata: { a: 'b' }, tools: [{ type: 'web_search' }] };
  const allowed = await chat(site, chatBody('kept', asking));
  assert.deepEqual([allowed.status, allowed.headers.get('sekisho-endpoint')], [200, 'open/m'], allowed.text);
  const { store, metadata, tools } = JSON.parse(String(open.requests.at(-1)?.body));
  assert.deepEqual({ store, metadata, tools }, { store: true, metadata: { a: 'b' }, tools: asking.tools });
  const plain = await chat(site, chatBody('not kept', { model: 'either' }));
  assert.deepEqual([plain.status, plain.headers.get('sekisho-endpoint')], [200, 'closed/m']);
  assert.equal(JSON.parse(String(closed.requests.at(-1)?.body)).store, false);
});

test('policy speaks first: a denied request is denied and recorded, whatever it asks for', async () => {
  const asked = await chat(site, chatBody('hi', { model: 'abroad', store: true }));
  assert.deepEqual([asked.status, JSON.parse(asked.text).error.code], [403, 'residency_policy_violation']);
  assert.equal(leavesOf(await receiptOf(site, asked))[0]?.decision['effect'], 'deny');
});

/** Every place of a structured request that a person could fill; each holds its own word. */
const PLACES = [
  'prompt',
  'message-name',
  'tool-name',
  'tool-description',
  'parameter-key',
  'parameter-description',
  'parameter-enum',
  'parameter-const',
  'parameter-default',
  'custom-name',
  'custom-definition',
  'function-name',
  'schema-name',
  'schema-key',
  'schema-title',
  'schema-definition',
  'choice-name',
  'prediction',
  'user',
  'safety-identifier',
  'stop',
] as const;
const word = (place: (typeof PLACES)[number]): string => `CNRY-${place}`;

function everyPlace(): Readonly<Record<string, unknown>> {
  const parameter = {
    type: 'string',
    description: word('parameter-description'),
    enum: [word('parameter-enum')],
    const: word('parameter-const'),
    default: word('parameter-default'),
  };
  const parameters = { type: 'object', properties: { [word('parameter-key')]: parameter } };
  const definition = { type: 'grammar', grammar: { syntax: 'regex', definition: word('custom-definition') } };
  return {
    messages: [{ role: 'user', name: word('message-name'), content: word('prompt') }],
    tools: [
      {
        type: 'function',
        function: { name: word('tool-name'), description: word('tool-description'), parameters },
      },
      { type: 'custom', custom: { name: word('custom-name'), format: definition } },
    ],
    functions: [{ name: word('function-name') }],
    tool_choice: { type: 'function', function: { name: word('choice-name') } },
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: word('schema-name'),
        schema: {
          title: word('schema-title'),
          properties: { [word('schema-key')]: {} },
          $defs: { [word('schema-definition')]: {} },
        },
      },
    },
    prediction: { type: 'content', content: word('prediction') },
    user: word('user'),
    safety_identifier: word('safety-identifier'),
    stop: [word('stop')],
  };
}

test('keys of schemas, names, descriptions and enum values are data: committed, labelled, in no log', async () => {
  const asked = await chat(site, chatBody('', everyPlace()), { 'sekisho-label': 'c3' });
  assert.equal(asked.status, 200, asked.text);
  assert.equal((await verified(site, asked)).verdict, 'valid');
  const receipt = await receiptOf(site, asked);
  const [leaves] = leavesOf(receipt);
  assert.deepEqual(leaves?.decision['label'], { conf: 3, categories: [] });
  const keys = JSON.parse(receipt).open as Record<'in' | 'req', string>;
  const committed = (field: 'in' | 'req', bytes: Buffer): boolean =>
    Object(leaves?.decision['c'])[field] ===
    createHmac('sha256', Buffer.from(keys[field], 'base64')).update(bytes).digest('base64');
  const left = closed.requests.at(-1)?.body ?? Buffer.alloc(0);
  assert.ok(committed('req', left) && committed('in', asked.request));
  for (const place of PLACES) {
    assert.ok(left.includes(JSON.stringify(word(place))), `${place} left as it came`);
    const other = Buffer.from(left.toString().replace(word(place), `CNRX-${place}`));
    assert.ok(!committed('req', other), `${place} is part of what c.req commits to`);
  }
  assert.ok(!`${site.stdout()}${site.stderr()}${receipt}`.includes('CNRY'));
});
