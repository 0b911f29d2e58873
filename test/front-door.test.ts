import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, oneModel, receiptOf } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const held = new AsyncDisposableStack();
let home: Provider;
let site: Site;
let log: string;

before(async () => {
  home = held.use(await startProvider());
  site = await startSite({ governance: oneModel([{ id: 'home', provider: home }]) });
  held.defer(async () => void (await site.stop()));
  for (let i = 0; i < 3; i++) await receiptOf(site, await chat(site, chatBody(`question ${i}`)));
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { url: string }[] };
  log = logs[0]?.url ?? '';
});

after(async () => held.disposeAsync());

test('no spelling of a tile path opens the entries of every organisation', async () => {
  assert.equal((await raw(`${log}/tile/0/000.p/3`)).status, 200, 'the hashes are public');
  assert.equal((await raw(`${log}/tile/entries/000.p/3`)).status, 401);
  const spellings = [
    'entries%2F000.p/3',
    'entries%2f000.p%2f3',
    'entries%2F000.p/3?',
    '%65ntries/000.p/3',
    '%65ntries%2F000.p/3',
    '%2565ntries/000.p/3',
    'entries%252F000.p/3',
    '0%2F000.p/3',
    '/entries/000.p/3',
    './entries/000.p/3',
    '0/../entries/000.p/3',
    '0%2F..%2Fentries/000.p/3',
    'entries\\000.p\\3',
  ];
  for (const spelling of spellings) {
    const { status, text } = await raw(`${log}/tile/${spelling}`);
    assert.ok(status >= 400 && status < 500, `${spelling}: ${status}`);
    assert.doesNotMatch(text, /"kind"/, spelling);
  }
});

test('no cache keeps the entries that an auditor read; hashes may be kept for ever', async () => {
  const entries = await site.call(`${log}/tile/entries/000.p/3`);
  assert.deepEqual([entries.status, entries.headers.get('cache-control')], [200, 'private, no-store']);
  const hashes = await site.call(`${log}/tile/0/000.p/3`);
  assert.match(hashes.headers.get('cache-control') ?? '', /public.*immutable/);
});

test('a proof is of the last leaf unless a leaf is named', async () => {
  const id = (await chat(site, chatBody('the last leaf'))).headers.get('sekisho-receipt') ?? '';
  const [attempt] = leavesOf((await site.call(`/v1/receipts/${id}?wait=10`)).text);
  const kindOf = async (query: string): Promise<unknown> => {
    const { text } = await site.call(`/v1/receipts/${id}${query}`, { headers: { accept: 'text/plain' } });
    const entry = /^extra (\S+)$/m.exec(text)?.[1] ?? '';
    return JSON.parse(Buffer.from(entry, 'base64').toString());
  };
  assert.deepEqual(await kindOf(''), attempt?.outcome);
  assert.deepEqual(await kindOf('?attempt=1'), attempt?.outcome);
  assert.deepEqual(await kindOf('?leaf=decision'), attempt?.decision);
});

test('a denied request has no outcome, and its proof is of the decision', async () => {
  const denied = await chat(site, chatBody('no such purpose'), { 'sekisho-purpose': 'leisure' });
  const id = denied.headers.get('sekisho-receipt') ?? '';
  const { status, text } = await site.call(`/v1/receipts/${id}`, { headers: { accept: 'text/plain' } });
  assert.equal(status, 200);
  const entry = /^extra (\S+)$/m.exec(text)?.[1] ?? '';
  assert.equal(Object(JSON.parse(Buffer.from(entry, 'base64').toString())).kind, 'decision');
});

const PATHS = ['/v1/models', '/v1/chat/completions', '/v1/nothing', '/api/v1/keys', '/healthz', '/nothing'];

test('a Host that is not of this site is told so on every path, however it is spelled', async () => {
  for (const path of PATHS) {
    for (const host of ['other.example', 'localhost:99999', 'a b', 'localhost.', 'user@localhost']) {
      const { status, text } = await raw(path, { host });
      assert.equal(status, 421, `${path} as ${host}`);
      const error: unknown = JSON.parse(text);
      const told = path.startsWith('/v1/') ? Object(error).error.message : Object(error).detail;
      assert.match(String(told), /Host header names no host of this site/);
    }
  }
});

test('a request with a content-encoding is refused on every path, whatever its method', async () => {
  const reached = home.requests.length;
  for (const path of PATHS) {
    for (const coding of ['gzip', 'identity']) {
      for (const method of ['GET', 'POST']) {
        const { status } = await raw(path, { 'content-encoding': coding }, { method, body: chatBody('x') });
        assert.equal(status, 415, `${method} ${path} ${coding}`);
      }
    }
  }
  assert.equal(home.requests.length, reached);
});

interface Raw {
  readonly status: number;
  readonly text: string;
}

// The path goes out as written: `fetch` would tidy it up.
function raw(
  path: string,
  headers: Record<string, string> = {},
  { method = 'GET', body = '' }: { method?: string; body?: string } = {},
): Promise<Raw> {
  const options = { host: '127.0.0.1', port: site.port, path, method, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, headers }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
    request.end(method === 'POST' ? body : undefined);
  });
}
