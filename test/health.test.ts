import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { httpSide, type FarSide } from './support/far-side.ts';
import { loopbackProvider } from './support/governance.ts';
import { allLeaves, until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, verified } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const HEALTH = '/v1/models?limit=1';

interface Check {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const held = new AsyncDisposableStack();
let near: Provider;
let far: Provider;
let desk: FarSide;
let site: Site;
const checks: Check[] = [];
let status = 200;

// The provider answers at one port and is asked for its health, under the same record, at another place of the host: a
// proxy of the test passes prompts on, so that checks and prompts can be told apart and fail apart.
before(async () => {
  [near, far] = [held.use(await startProvider()), held.use(await startProvider())];
  desk = held.use(await httpSide((asked, reply) => void answer(asked, reply)));
  const url = `http://127.0.0.1:${desk.port}`;
  site = await startSite({
    config: {
      routing: { breaker: { pause: 3600 }, health: { every: 1, timeout: 1, failures: 2 } },
    },
    governance: {
      providers: [
        { ...loopbackProvider({ id: 'near', url, models: { m: 'c3' }, secret: 'desk' }), health: HEALTH },
        loopbackProvider({ id: 'far', url: far.url, models: { m: 'c3' } }),
      ],
      models: { chat: { from: [{ endpoint: 'near/m' }, { endpoint: 'far/m' }] } },
    },
    secrets: { desk: 'sk-desk' },
  });
  held.defer(async () => void (await site.stop()));
});

after(async () => held.disposeAsync());

async function answer(asked: IncomingMessage, reply: ServerResponse): Promise<void> {
  const { method = '', url = '', headers } = asked;
  const body = (await asked.setEncoding('utf8').toArray()).join('');
  if (method === 'GET') {
    checks.push({ method, url, headers, body });
    reply.writeHead(status, { 'content-type': 'application/json' }).end('{"data":[]}');
    return;
  }
  const passed = await fetch(`${near.url}${url}`, { method, body });
  const type = passed.headers.get('content-type') ?? '';
  reply.writeHead(passed.status, { 'content-type': type }).end(await passed.bytes());
}

async function rounds(count: number): Promise<void> {
  const from = checks.length;
  // One more, since the first may have been judged by what was answered before.
  await until(() => checks.length > from + count, `${count} more checks`);
}

async function asked(text: string): Promise<string | null> {
  const answer = await chat(site, chatBody(text));
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await verified(site, answer)).state, 'closed');
  return answer.headers.get('sekisho-endpoint');
}

async function ready(): Promise<string> {
  return (await site.call('/readyz')).text;
}

test('the record’s one request goes out as declared, after one leaf for all of them', async () => {
  await rounds(2);
  for (const { method, url, headers, body } of checks) {
    assert.deepEqual([method, url, body], ['GET', HEALTH, '']);
    assert.equal(headers['authorization'], 'Bearer sk-desk');
    assert.equal(headers['content-length'], undefined);
  }
  const standing = (await allLeaves(site)).filter(({ event }) => event === 'destination');
  assert.equal(standing.length, 1);
  const [leaf = {}] = standing;
  assert.deepEqual(
    [leaf['kind'], leaf['destination'], leaf['method'], leaf['path'], leaf['maxBytes']],
    ['control', 'health:near', 'GET', HEALTH, 0],
  );
  assert.ok(Number(leaf['until']) - Number(leaf['t']) <= 3_600_000);
  assert.doesNotMatch(await ready(), /health check/);
  assert.match((await site.call('/metrics')).text, /sekisho_provider_well\{provider="near"\} 1/);
  assert.equal(await asked('well'), 'near/m');
});

test('a provider that fails its checks is left alone before a request has failed there', async () => {
  status = 503;
  await rounds(2);
  await until(async () => /health check: answered 503/.test(await ready()), 'the warning');
  const before = near.requests.length;
  await until(async () => (await asked('meanwhile')) === 'far/m', 'the other endpoint');
  const then = near.requests.length;
  for (let i = 0; i < 5; i++) assert.equal(await asked('elsewhere'), 'far/m');
  assert.equal(near.requests.length, then);
  assert.ok(then - before <= 1, 'no request had to fail for it');
  assert.match((await site.call('/metrics')).text, /sekisho_provider_well\{provider="near"\} 0/);
});

test('a good check ends the pause: the next request tries, and its answer decides', async () => {
  status = 200;
  await rounds(1);
  await until(async () => (await asked('again')) === 'near/m', 'the endpoint is asked again');
  assert.doesNotMatch(await ready(), /near/);
});

test('an answer that says nothing about requests keeps nobody away and asks for the record to be mended', async () => {
  status = 404;
  await rounds(3);
  await until(async () => /answered 404; .*mend health/.test(await ready()), 'the warning');
  assert.equal(await asked('still'), 'near/m');
  status = 200;
});

test('a good check closes no breaker that requests opened', async () => {
  near.behaveAlways({ kind: 'status', status: 500 });
  await until(async () => {
    await chat(site, chatBody('break'));
    return /endpoint near\/m/.test(await ready());
  }, 'the breaker opens');
  await rounds(2);
  assert.match(await ready(), /endpoint near\/m/, 'only an answer closes it');
  near.behaveAlways({ kind: 'answer' });
  await until(async () => (await asked('mended')) === 'near/m', 'its answer closes it');
  assert.doesNotMatch(await ready(), /endpoint near\/m/);
});
