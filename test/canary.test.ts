import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { loopbackProvider } from './support/governance.ts';
import type { Behaviour } from './support/provider-behaviour.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, receiptOf } from './support/road.ts';
import { freePort, startSite, type Site } from './support/site.ts';

/** Stands in every part of a request that a person could fill with something secret. */
const CANARY = 'CNRY-7f3a9-kanariya';
const PLACES = ['prompt', 'tool', 'schema', 'user', 'metadata', 'query', 'answer', 'name', 'header'];

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let home: Provider;
let abroad: Provider;
let site: Site;

before(async () => {
  home = held.use(await startProvider());
  abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  const models = { m: 'c3' } as const;
  const closed = `http://127.0.0.1:${await freePort()}`;
  const only = (endpoint: string): object => ({ from: [{ endpoint, weight: 1 }] });
  site = await startSite({
    governance: {
      providers: [
        loopbackProvider({ id: 'home', url: home.url, models }),
        loopbackProvider({ id: 'abroad', url: abroad.url, models, country: 'US' }),
        loopbackProvider({ id: 'closed', url: closed, models }),
        { id: 'local', kind: 'llama', models: { 'not-a-model': { accepts: 'c3' } } },
      ],
      models: {
        chat: only('home/m'),
        elsewhere: only('abroad/m'),
        closed: only('closed/m'),
        local: only('local/not-a-model'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
});

after(async () => held.disposeAsync());

test('what callers say is in no file of DATA, no line of output, no metric and no error', async () => {
  const errors = await everyKindOfRequest();
  assert.ok(errors.length > 10);
  for (const text of errors) assert.deepEqual(found(text), [], text.slice(0, 500));
  assert.deepEqual(found(JSON.stringify(home.requests.map(({ path, headers }) => [path, headers]))), []);
  const metrics = await site.call('/metrics');
  assert.equal(metrics.status, 200);
  assert.deepEqual(found(metrics.text), []);
  assert.deepEqual(found(site.stdout() + site.stderr()), []);
  await site.stop({ keep: true });
  assert.deepEqual(found(site.stdout() + site.stderr()), []);
  const files = filesBelow(site.data);
  for (const wanted of [/sekisho\.db/, /ledger/, /keys/])
    assert.ok(
      files.some((file) => wanted.test(path.relative(site.data, file))),
      `${wanted} is among the files`,
    );
  for (const file of files) assert.deepEqual(found(readFileSync(file, 'latin1')), [], file);
  site = await startSite({ root: site.root });
});

test('the search finds a canary that was planted, in each encoding', () => {
  for (const place of PLACES) {
    const said = word(place);
    for (const text of [said, JSON.stringify({ a: said }), Buffer.from(said, 'utf16le').toString('latin1')])
      assert.notDeepEqual(found(`before ${text} after`), []);
    for (const pad of ['', 'x', 'xy'])
      assert.notDeepEqual(
        found(Buffer.from(`${pad}{"content":"${said}"}`).toString('base64')),
        [],
        `base64 ${pad}`,
      );
  }
});

/** Sends good, denied, refused and failed requests, and returns the bodies of those that were not answered. */
async function everyKindOfRequest(): Promise<readonly string[]> {
  const errors: string[] = [];
  const send = async (
    more: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): Promise<void> => {
    const asked = await chat(site, body(more), { 'x-metadata': word('metadata'), ...headers });
    if (asked.status !== 200) errors.push(asked.text);
    else if (asked.text.includes('upstream_interrupted'))
      errors.push(asked.text.slice(asked.text.lastIndexOf('data: ')));
    if (asked.headers.has('sekisho-receipt')) assert.deepEqual(found(await receiptOf(site, asked)), []);
    errors.push(JSON.stringify([...asked.headers].filter(([name]) => name !== 'sekisho-request-id')));
  };
  const spoken = { 'x-words': word('answer'), 'retry-after': word('answer'), 'x-request-id': word('answer') };
  const behaviours: readonly Behaviour[] = [
    { kind: 'answer' },
    { kind: 'status', status: 400, body: JSON.stringify({ error: { message: word('answer') } }) },
    { kind: 'status', status: 500, body: word('answer'), headers: spoken },
    { kind: 'status', status: 429, body: word('answer'), headers: spoken },
    { kind: 'status', status: 307, headers: { location: `http://127.0.0.1:9/${word('answer')}` } },
    { kind: 'garbage' },
    { kind: 'half-stream' },
    { kind: 'close-before-head' },
  ];
  for (const behaviour of behaviours)
    for (const stream of [false, true]) {
      home.behave(behaviour);
      await send({ stream });
    }
  for (const model of ['elsewhere', 'closed', 'local']) await send({ model });
  // Names of models and parameters are said back to the caller who mistyped them, and to nobody else.
  for (const mistyped of [{ model: word('name') }, { [word('name')]: true }]) {
    const asked = await chat(site, body(mistyped));
    assert.deepEqual([asked.status >= 400, found(asked.text)], [true, ['plain']]);
  }
  await send({ messages: word('prompt') });
  await send({ messages: [{ role: word('name'), content: word('prompt') }] });
  await send({ tools: [{ type: word('tool') }] });
  const refused = [
    { store: word('metadata') },
    { metadata: { [word('metadata')]: word('metadata') } },
    { prompt_cache_key: word('metadata') },
    { tools: [{ type: 'mcp', server_url: `https://${word('tool')}.example` }] },
    says({ type: 'image_url', image_url: { url: `https://media.example/${word('prompt')}` } }),
    says({ type: 'file', file: { file_id: word('prompt') } }),
  ];
  for (const one of refused) await send(one);
  await send({}, { 'sekisho-purpose': word('header') });
  await send({}, { 'sekisho-label': word('header') });
  await send({}, { 'sekisho-request-id': word('header') });
  await send({}, { authorization: `Bearer ${word('header')}` });
  await send({}, { host: word('header') });
  for (const at of ['/v1/models', '/v1/chat/completions', '/v1/nothing', '/readyz', '/api/v1/nothing'])
    errors.push((await site.call(`${at}?q=${word('query')}`)).text);
  const broken = await site.call('/v1/chat/completions', { body: `{"a": ${word('prompt')}` });
  errors.push(broken.text);
  return errors;
}

function body(more: Record<string, unknown>): string {
  const property = { type: 'string', description: word('schema'), enum: [word('schema')] };
  const parameters = { type: 'object', title: word('schema'), properties: { [word('schema')]: property } };
  return JSON.stringify({
    model: 'chat',
    messages: [{ role: 'user', content: word('prompt') }],
    user: word('user'),
    tools: [{ type: 'function', function: { name: word('tool'), description: word('tool'), parameters } }],
    response_format: { type: 'json_schema', json_schema: { name: word('schema'), schema: parameters } },
    ...more,
  });
}

function says(part: object): Record<string, unknown> {
  return { messages: [{ role: 'user', content: [part] }] };
}

function word(place: string): string {
  return `${CANARY}-${place}`;
}

/** The encodings in which a text holds the canary. */
function found(text: string): readonly string[] {
  const forms: readonly (readonly [string, string])[] = [
    ['plain', CANARY],
    ['lower case', CANARY.toLowerCase()],
    ['utf16', Buffer.from(CANARY, 'utf16le').toString('latin1')],
    // In base64 a text has three forms, by its place; the outer characters depend on what stands beside it.
    ...[0, 1, 2].map((offset) => [`base64 at ${offset}`, insideBase64(offset)] as const),
  ];
  return forms.filter(([, form]) => text.includes(form)).map(([name]) => name);
}

function insideBase64(offset: number): string {
  const encoded = Buffer.from(`${'x'.repeat(offset)}${CANARY}`).toString('base64');
  return encoded.slice(offset === 0 ? 0 : 4, Math.floor((offset + CANARY.length) / 3) * 4);
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
