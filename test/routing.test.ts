import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loopbackProvider } from './support/governance.ts';
import { until } from './support/observe.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, receiptOf, verified, type Asked } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const PAUSE_MS = 1000;
const WAIT_S = 3;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let near: Provider;
let far: Provider;
let abroad: Provider;
let site: Site;

before(async () => {
  [near, far] = [held.use(await startProvider()), held.use(await startProvider())];
  abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  // Whatever a strategy looks at, the endpoint abroad has most of it; policy denies it all the same.
  const from = (...weights: readonly [string, number][]): object[] =>
    [['abroad', 1000] as const, ...weights].map(([id, weight]) => ({ endpoint: `${id}/m`, weight }));
  const both = (): object[] => from(['near', 1], ['far', 3]);
  const single = { from: [{ endpoint: 'near/m' }] };
  site = await startSite({
    config: {
      routing: {
        wait: WAIT_S,
        breaker: { failures: 3, pause: PAUSE_MS / 1000 },
        endpoints: { 'narrow/m': { concurrency: 1, queue: 1 } },
      },
    },
    governance: {
      providers: [
        priced(loopbackProvider({ id: 'near', url: near.url, models: { m: 'c3' } }), 30),
        priced(loopbackProvider({ id: 'far', url: far.url, models: { m: 'c3' } }), 20),
        priced(loopbackProvider({ id: 'limited', url: near.url, models: { m: 'c3' } }), 1),
        priced(loopbackProvider({ id: 'narrow', url: near.url, models: { m: 'c3' } }), 1),
        priced(loopbackProvider({ id: 'abroad', url: abroad.url, models: { m: 'c3' }, country: 'US' }), 0),
      ],
      models: {
        chat: single,
        limited: { from: [{ endpoint: 'limited/m' }] },
        narrow: { from: [{ endpoint: 'narrow/m' }] },
        order: { from: both(), strategy: 'order' },
        weighted: { from: both(), strategy: 'weighted' },
        cheapest: { from: both(), strategy: 'cheapest' },
        fastest: { from: both(), strategy: 'fastest' },
        balanced: { from: both(), strategy: 'balanced' },
      },
    },
  });
  held.defer(async () => void (await site.stop()));
});

after(async () => held.disposeAsync());

test('each strategy chooses among what policy allows, and nothing else is ever connected', async () => {
  near.behaveAlways({ kind: 'drip', everyMs: 25 });
  const chosen = {
    order: await shares('order', 6),
    weighted: await shares('weighted', 24),
    cheapest: await shares('cheapest', 6),
    fastest: await shares('fastest', 12),
    balanced: await shares('balanced', 12),
  };
  near.behaveAlways({ kind: 'answer' });
  assert.deepEqual(chosen.order, { near: 6, far: 0 });
  assert.ok(chosen.weighted.far > chosen.weighted.near && chosen.weighted.near > 0, JSON.stringify(chosen));
  assert.deepEqual(chosen.cheapest, { near: 0, far: 6 });
  assert.ok(chosen.fastest.far >= 10, JSON.stringify(chosen));
  assert.ok(chosen.balanced.far > chosen.balanced.near && chosen.balanced.near > 0, JSON.stringify(chosen));
  assert.equal(abroad.connections, 0);
});

test('an endpoint that fails is followed by another legal one, each with its own decision', async () => {
  const failures = [503, 500, 408, 429];
  await good('chat');
  for (const status of failures) {
    near.behave({ kind: 'status', status });
    const asked = await ask('order');
    assert.equal(asked.status, 200, asked.text);
    assert.deepEqual(await attemptsOf(asked), [
      ['near/m', 'provider-error', status],
      ['far/m', 'ok', 200],
    ]);
    const [failed, answered] = leavesOf(await receiptOf(site, asked)).map(({ outcome }) => outcome);
    assert.equal(failed?.['in'], answered?.['in'], 'the provider that failed had got the request too');
    assert.ok(Number(failed?.['in']) > 0);
  }
  await until(async () => {
    const seen = near.requests.length;
    await good('order');
    return near.requests.length > seen;
  }, 'an endpoint that limited is first again after its rest');
});

test('a connection that closed before an answer, as an idle one may, is followed by a repeat', async () => {
  await good('chat');
  near.behave({ kind: 'close-before-head' });
  const asked = await ask('chat');
  assert.deepEqual(await attemptsOf(asked), [
    ['near/m', 'interrupted', null],
    ['near/m', 'ok', 200],
  ]);
});

for (const [form, value] of [
  ['seconds', () => '1'],
  ['a date', () => new Date(Date.now() + 2000).toUTCString()],
] as const)
  test(`a provider that asks for a pause in ${form} gets it`, async () => {
    near.behave({ kind: 'status', status: 429, headers: { 'retry-after': value() } });
    const begun = performance.now();
    const asked = await ask('limited');
    const took = performance.now() - begun;
    assert.equal(asked.status, 200, asked.text);
    assert.ok(took >= 990 && took < WAIT_S * 1000, `${took} ms`);
    assert.deepEqual(await attemptsOf(asked), [
      ['limited/m', 'provider-error', 429],
      ['limited/m', 'ok', 200],
    ]);
  });

test('a pause beyond the bound is not waited for: the caller gets the hint', async () => {
  near.behave({ kind: 'status', status: 429, headers: { 'retry-after': '60' } });
  const asked = await ask('limited');
  assert.deepEqual([asked.status, asked.headers.get('retry-after')], [429, '60']);
  assert.deepEqual(await attemptsOf(asked), [['limited/m', 'provider-error', 429]]);
});

test('repeats end, and the last failure is what the caller gets', async () => {
  near.behave(...[1, 2, 3].map(() => ({ kind: 'status', status: 500 }) as const));
  const asked = await ask('chat');
  assert.equal(asked.status, 502);
  assert.equal((await attemptsOf(asked)).length, 3);
  await mended();
});

test('nothing is repeated once bytes went to the client, nor what the provider has worked on', async () => {
  for (const kind of ['half-stream', 'error-event', 'garbage-stream'] as const) {
    near.behave({ kind });
    const asked = await ask('order', { stream: true });
    assert.equal(asked.status, 200);
    assert.match(asked.text, /upstream_interrupted/);
    assert.equal((await attemptsOf(asked)).length, 1, kind);
    await good('chat');
  }
  near.behave({ kind: 'garbage' });
  assert.deepEqual(await attemptsOf(await ask('order')), [['near/m', 'provider-error', 200]]);
  near.behave({ kind: 'status', status: 422 });
  assert.deepEqual(await attemptsOf(await ask('order')), [['near/m', 'provider-error', 422]]);
});

test('an endpoint that failed in a row is left alone, which is shown, until one request finds it well', async () => {
  await good('chat');
  near.behaveAlways({ kind: 'status', status: 500 });
  assert.equal((await ask('chat')).status, 502);
  const seen = near.requests.length;
  const asked = await ask('chat');
  assert.equal(near.requests.length, seen, 'nothing is sent');
  assert.equal(asked.status, 503, asked.text);
  assert.equal(JSON.parse(asked.text).error.code, 'no_eligible_endpoint');
  assert.match(asked.headers.get('retry-after') ?? '', /^[12]$/);
  assert.deepEqual(await attemptsOf(asked), [['near/m', 'not-sent', null]]);
  assert.equal(await broken('near/m'), true);
  const ready = await site.call('/readyz');
  assert.equal(ready.status, 200);
  assert.match(ready.text, /endpoint near\/m.*failed several times in a row/);
  assert.deepEqual(await attemptsOf(await ask('order')), [['far/m', 'ok', 200]], 'another one serves');
  near.behaveAlways({ kind: 'answer' });
  await mended();
  assert.doesNotMatch((await site.call('/readyz')).text, /failed several times/);
});

test('one request probes an endpoint that was left alone; the others are refused meanwhile', async () => {
  near.behaveAlways({ kind: 'status', status: 500 });
  await ask('chat');
  near.behaveAlways({ kind: 'drip', everyMs: 100 });
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  const seen = near.requests.length;
  const asked = await Promise.all(Array.from({ length: 8 }, async () => ask('chat')));
  near.behaveAlways({ kind: 'answer' });
  assert.equal(near.requests.length - seen, 1);
  assert.deepEqual(
    asked.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, ...Array.from({ length: 7 }, () => 503)],
  );
});

test('who finds no place waits, and who finds no place in the queue is refused with a hint', async () => {
  near.behaveAlways({ kind: 'drip', everyMs: 100 });
  const seen = near.requests.length;
  const asked = await Promise.all(Array.from({ length: 4 }, async () => ask('narrow')));
  near.behaveAlways({ kind: 'answer' });
  assert.equal(near.requests.length - seen, 2);
  const [served, refused] = [200, 503].map((status) => asked.filter((one) => one.status === status));
  assert.deepEqual([served?.length, refused?.length], [2, 2]);
  for (const one of refused ?? []) {
    assert.equal(JSON.parse(one.text).error.code, 'overloaded');
    assert.match(one.headers.get('retry-after') ?? '', /^\d+$/);
    assert.deepEqual(await attemptsOf(one), [['narrow/m', 'not-sent', null]]);
  }
});

/** How many requests each of the two legal providers got, four at a time. */
async function shares(model: string, count: number): Promise<{ near: number; far: number }> {
  const [a, b] = [near.requests.length, far.requests.length];
  for (let i = 0; i < count; i += 4)
    await Promise.all(
      Array.from({ length: Math.min(4, count - i) }, async () => {
        const asked = await ask(model);
        assert.equal(asked.status, 200, asked.text);
      }),
    );
  return { near: near.requests.length - a, far: far.requests.length - b };
}

async function ask(model: string, more: Readonly<Record<string, unknown>> = {}): Promise<Asked> {
  return chat(site, chatBody('one two three four', { ...more, model }));
}

async function good(model: string): Promise<void> {
  assert.equal((await ask(model)).status, 200);
}

/** Endpoint, status and provider's status of each attempt, from a receipt that verifies with both bodies. */
async function attemptsOf(asked: Asked): Promise<readonly unknown[]> {
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
  return leavesOf(await receiptOf(site, asked)).map(({ decision, outcome }) => [
    Object(decision['to']).endpoint,
    outcome?.['status'],
    outcome?.['http'],
  ]);
}

/** Waits until a request has found the endpoint `near/m` well. */
async function mended(): Promise<void> {
  await until(async () => {
    await ask('chat');
    return !(await broken('near/m'));
  }, 'a probe closes the breaker');
}

async function broken(endpoint: string): Promise<boolean> {
  const { text } = await site.call('/metrics');
  return text.includes(`sekisho_endpoint_broken{endpoint="${endpoint}"} 1`);
}

function priced<T extends { readonly id: string } & Readonly<Record<string, unknown>>>(
  provider: T,
  yen: number,
): T {
  return { ...provider, models: { m: { accepts: 'c3', price: { in: yen, out: yen } } } };
}
