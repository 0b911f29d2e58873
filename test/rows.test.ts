import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { allClients } from './support/clients/all.ts';
import type { Client, ClientCase, ClientError, ClientResult } from './support/clients/client.ts';
import { loopbackProvider } from './support/governance.ts';
import { keyWith } from './support/keys.ts';
import { ROWS } from './support/error-rows.ts';
import type { Leaf, Row } from './support/error-rows.ts';
import { validateReply } from './support/openai-schema.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { leavesOf } from './support/road.ts';
import { freePort, ONE_ATTEMPT, startSite, type Site } from './support/site.ts';

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let home: Provider;
let abroad: Provider;
let site: Site;
let operator: string;
const clients = allClients(held);

before(async () => {
  home = held.use(await startProvider());
  abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  const closed = `http://127.0.0.1:${await freePort()}`;
  const models = { m: 'c3' } as const;
  const only = (endpoint: string): object => ({ from: [{ endpoint, weight: 1 }] });
  site = await startSite({
    config: { routing: ONE_ATTEMPT },
    governance: {
      site: {
        purposes: [
          { id: 'care', title: { ja: '診療の要約', en: 'care' }, approval: { role: 'owner', hours: 8 } },
        ],
      },
      providers: [
        loopbackProvider({ id: 'home', url: home.url, models }),
        loopbackProvider({ id: 'abroad', url: abroad.url, models, country: 'US' }),
        loopbackProvider({ id: 'closed', url: closed, models }),
        loopbackProvider({ id: 'shut', url: closed, models }),
        loopbackProvider({
          id: 'moved',
          url: home.url,
          models,
          network: { hosts: ['127.0.0.1'], addresses: ['127.9.0.0/16'] },
        }),
        { id: 'local', kind: 'llama', models: { 'not-a-model': { accepts: 'c3' } } },
      ],
      models: {
        chat: only('home/m'),
        elsewhere: only('abroad/m'),
        down: {
          from: ['closed/m', 'shut/m'].map((endpoint) => ({ endpoint, weight: 1 })),
          strategy: 'order',
        },
        moved: only('moved/m'),
        local: only('local/not-a-model'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  operator = (await keyWith(site, ['operator'])).key;
});

after(async () => held.disposeAsync());

for (const client of clients)
  for (const row of ROWS.filter(({ wire }) => client.wire || wire !== true))
    test(`${client.name}: ${row.name} gives ${row.status} ${codeOf(client, row)}`, async () => {
      const begun = home.requests.length + abroad.connections;
      // With a count to hold, the client retries as it likes; else the hint of seconds would be waited for.
      const retries = client.wire && row.dispatches !== undefined ? null : 0;
      const result = await ask(client, row, retries);
      const { error } = result;
      assert.ok(error !== undefined, JSON.stringify(result));
      // The client for Python has classes of its own for statuses that the one for Node has none for.
      const types = row.type === 'APIError' ? ['APIError', 'APIStatusError'] : [row.type];
      if (client.name === 'AI SDK') types.push('AI_APICallError');
      assert.ok(types.includes(error.type), `${error.type} ${JSON.stringify(error)}`);
      assert.deepEqual(
        [error.status, error.code, error.param],
        [row.status, codeOf(client, row), row.param ?? null],
        JSON.stringify(error),
      );
      assert.deepEqual(validateReply('ErrorResponse', { error: error.body }), []);
      assert.doesNotMatch(JSON.stringify(error), /CNRY/);
      assert.deepEqual(error.retry, row.retry ?? {});
      row.also?.(error);
      assert.equal(
        home.requests.length + abroad.connections - begun,
        retries === null ? row.dispatches : Math.min(1, row.dispatches ?? 0),
      );
      await checkLeaf(error, row.leaf);
    });

for (const client of clients)
  test(`${client.name}: a stream that breaks raises and never ends well`, async () => {
    home.behave({ kind: 'half-stream' });
    const result = await client.ask({
      ...base(),
      arguments: { model: 'chat', messages: [{ role: 'user', content: 'a b c d' }], stream: true },
    });
    assert.ok((result.said?.text ?? '').length > 0, 'what came before the break is shown');
    assert.equal(result.error?.type, client.name === 'AI SDK' ? 'AI_StreamProviderError' : 'APIError');
    assert.equal(result.error.code, 'upstream_interrupted');
    assert.equal(Object(result.error.body)['type'], 'server_error');
  });

function codeOf(client: Client, row: Row): string {
  return client.surface === 'azure' ? (row.azureCode ?? row.code) : row.code;
}

async function ask(client: Client, row: Row, retries: number | null): Promise<ClientResult> {
  home.behaveAlways(row.provider ?? { kind: 'answer' });
  try {
    return await client.ask({
      ...base(),
      retries,
      ...(row.role === undefined ? {} : { key: operator }),
      ...row.asked,
    });
  } finally {
    home.behaveAlways({ kind: 'answer' });
  }
}

function base(): ClientCase {
  return {
    key: site.adminKey,
    url: site.url,
    below: '',
    do: 'chat',
    arguments: { model: 'chat', messages: [{ role: 'user', content: 'hello' }] },
    headers: {},
    retries: 0,
    fill: 0,
  };
}

async function checkLeaf(error: ClientError, leaf: Leaf | null): Promise<void> {
  if (leaf === null) {
    assert.equal(error.requestId, null);
    return;
  }
  const reply = await site.call(`/v1/receipts/${error.requestId}?wait=10`);
  assert.equal(reply.status, 200, 'the request id is the id of a receipt');
  assert.equal(JSON.parse(reply.text).state, 'closed');
  const leaves = leavesOf(reply.text);
  assert.ok(leaves.every(({ decision }) => decision['effect'] === leaf.effect));
  const outcome = leaves.at(-1)?.outcome;
  assert.equal(outcome?.['status'], leaf.status);
  if (leaf.http !== undefined) assert.equal(outcome?.['http'], leaf.http);
  assert.equal(outcome?.['attempts'], leaf.attempts);
  if (leaf.effect === 'allow') assert.equal(typeof Object(outcome?.['c'])['res'], 'string');
}

interface Raw {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

const RAW_ROWS: readonly {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: Buffer;
  readonly status: number;
  readonly code: string;
  readonly allow?: string;
}[] = [
  {
    name: 'a body that is no JSON',
    method: 'POST',
    path: '/v1/chat/completions',
    body: Buffer.from('{"model": "chat", CNRY'),
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'a body that is no UTF-8',
    method: 'POST',
    path: '/v1/chat/completions',
    body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'no body',
    method: 'POST',
    path: '/v1/chat/completions',
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'brackets without end',
    method: 'POST',
    path: '/v1/chat/completions',
    body: Buffer.alloc(4 * 1024 * 1024, '['),
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'another host',
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { host: 'evil.example' },
    status: 421,
    code: 'misdirected_request',
  },
  {
    name: 'another method on chat',
    method: 'GET',
    path: '/v1/chat/completions',
    status: 405,
    code: 'method_not_allowed',
    allow: 'POST',
  },
  {
    name: 'another method on models',
    method: 'POST',
    path: '/v1/models',
    status: 405,
    code: 'method_not_allowed',
    allow: 'GET, HEAD',
  },
  {
    name: 'a path below a surface',
    method: 'POST',
    path: '/v1/chat/completions/more',
    body: Buffer.from('{}'),
    status: 404,
    code: 'not_found',
  },
  {
    name: 'no key',
    method: 'GET',
    path: '/v1/models',
    headers: { authorization: '' },
    status: 401,
    code: 'invalid_api_key',
  },
];

for (const row of RAW_ROWS)
  test(`${row.name} gives ${row.status} ${row.code}`, async () => {
    const seen = home.connections;
    const { status, headers, body } = await raw(row);
    assert.equal(status, row.status, body);
    assert.match(headers['content-type'] ?? '', /^application\/json/);
    const parsed: unknown = JSON.parse(body);
    assert.deepEqual(validateReply('ErrorResponse', parsed), []);
    assert.equal(Object(Object(parsed)['error'])['code'], row.code);
    assert.equal(headers.allow, row.allow);
    assert.equal(headers['sekisho-receipt'], undefined);
    assert.doesNotMatch(body, /CNRY/);
    assert.equal(home.connections, seen);
  });

test('what a caller mistyped is said back, but not at any length', async () => {
  const name = 'n'.repeat(1024 * 1024);
  const body = Buffer.from(
    JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'hello' }], [name]: 1 }),
  );
  const reply = await raw({ method: 'POST', path: '/v1/chat/completions', body });
  assert.equal(reply.status, 400);
  const { code, param } = JSON.parse(reply.body).error as Record<string, string>;
  assert.deepEqual([code, param], ['unsupported_parameter', `${'n'.repeat(512)}…`]);
  assert.ok(reply.body.length < 2048);
});

test('HEAD is answered as GET, without the body', async () => {
  const got = await raw({ method: 'GET', path: '/v1/models' });
  const headed = await raw({ method: 'HEAD', path: '/v1/models' });
  assert.deepEqual([headed.status, headed.body], [200, '']);
  assert.equal(headed.headers['content-length'], got.headers['content-length']);
  const missing = await raw({ method: 'HEAD', path: '/v1/models/no-such' });
  assert.deepEqual([missing.status, missing.body], [404, '']);
});

test('a large body without a valid key is not read either', async () => {
  const headers = { authorization: 'Bearer sk-wrong' };
  const body = Buffer.alloc(8 * 1024 * 1024, 'x');
  const { status, headers: replied } = await raw({
    method: 'POST',
    path: '/v1/chat/completions',
    headers,
    body,
  });
  assert.deepEqual([status, replied.connection], [401, 'close']);
});

test('a body without a stated length is cut off at 20 MB, and the rest is not read', async () => {
  const limit = 20 * 1024 * 1024;
  const socket = net.connect(site.port, '127.0.0.1');
  socket.on('error', () => {});
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${site.port}`,
    `authorization: Bearer ${site.adminKey}`,
    'transfer-encoding: chunked',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  let answer = '';
  socket.on('data', (piece: Buffer) => (answer += piece.toString()));
  const piece = Buffer.alloc(64 * 1024, 'x');
  const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
  const pour = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(chunk));
  };
  socket.on('drain', pour);
  pour();
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(answer, /^HTTP\/1\.1 413 /);
  assert.match(answer, /request_too_large/);
  // What lies in the buffers of both sides' kernels is written but never read.
  assert.ok(socket.bytesWritten - socket.writableLength < limit + 16 * 1024 * 1024);
});

function raw(row: {
  readonly method: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: Buffer;
}): Promise<Raw> {
  const headers = { authorization: `Bearer ${site.adminKey}`, ...row.headers };
  const { method, path } = row;
  return new Promise((resolve, reject) => {
    const request = http.request(site.url, { method, path, headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    request.on('error', reject);
    request.end(row.body);
  });
}
