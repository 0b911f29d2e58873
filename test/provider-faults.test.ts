import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { identity } from './support/certificates.ts';
import { httpSide, tcpSide, type FarSide } from './support/far-side.ts';
import { loopbackProvider } from './support/governance.ts';
import { validateReply } from './support/openai-schema.ts';
import {
  BROKEN_STREAM,
  COMMON_ROWS,
  FAULT_ROWS,
  GARBAGE,
  HEADLESS_GARBAGE,
  NONE_ANSWERED,
  type Ending,
} from './support/fault-rows.ts';
import type { Behaviour, Misbehaviour } from './support/provider-behaviour.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { chat, chatBody, leavesOf, receiptOf, verified, type Asked } from './support/road.ts';
import { residentBytes, until } from './support/observe.ts';
import { freePort, ONE_ATTEMPT, startSite, type Site } from './support/site.ts';

const SECONDS = 1000;
const MEBIBYTE = 1024 * 1024;
const TIMEOUT = 2;
/** The timeout, the coarse timers that keep it, and a busy machine. */
const BOUND = (TIMEOUT + 4) * SECONDS;

const ENDINGS: Readonly<Record<Misbehaviour, { readonly plain: Ending; readonly streamed: Ending | null }>> =
  {
    garbage: { plain: GARBAGE, streamed: GARBAGE },
    'wrong-shape': { plain: GARBAGE, streamed: GARBAGE },
    'wrong-type': { plain: GARBAGE, streamed: GARBAGE },
    'half-json': { plain: GARBAGE, streamed: GARBAGE },
    'short-body': {
      plain: { ...GARBAGE, outcome: ['interrupted', 'provider_error', 200] },
      streamed: GARBAGE,
    },
    'half-stream': { plain: GARBAGE, streamed: BROKEN_STREAM },
    'no-done': { plain: GARBAGE, streamed: BROKEN_STREAM },
    'garbage-stream': { plain: GARBAGE, streamed: BROKEN_STREAM },
    'error-event': { plain: GARBAGE, streamed: BROKEN_STREAM },
    silence: { plain: NONE_ANSWERED, streamed: NONE_ANSWERED },
    'silence-inside': { plain: GARBAGE, streamed: BROKEN_STREAM },
    'huge-headers': { plain: HEADLESS_GARBAGE, streamed: HEADLESS_GARBAGE },
    gzip: { plain: HEADLESS_GARBAGE, streamed: HEADLESS_GARBAGE },
    endless: { plain: GARBAGE, streamed: GARBAGE },
    // A stream without end is what a client asked for, until it leaves.
    'endless-stream': { plain: GARBAGE, streamed: null },
    'close-before-head': { plain: NONE_ANSWERED, streamed: NONE_ANSWERED },
    'not-http': { plain: HEADLESS_GARBAGE, streamed: HEADLESS_GARBAGE },
  };

const REFUSED_CERTIFICATE: Ending = {
  status: 502,
  code: 'egress_denied',
  outcome: ['refused', 'certificate', null],
};
const NOT_SENT: Ending = {
  status: 503,
  code: 'no_eligible_endpoint',
  outcome: ['not-sent', 'no_eligible_endpoint', null],
};

/** Pieces of what the misbehaving provider says. */
const ITS_WORDS = /CNRY|scripted status|maintenance|this is not JSON|\[\[\[|ESMTP|"world"/;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let home: Provider;
let site: Site;
let resident = 0;

before(async () => {
  home = held.use(await startProvider());
  const closed = `http://127.0.0.1:${await freePort()}`;
  const models = { m: 'c3' } as const;
  const [own, other] = ['own', 'other'].map((name) => identity({ name, hosts: ['127.0.0.1'] }));
  assert.ok(own !== undefined && other !== undefined);
  const stranger = held.use(
    await httpSide((_, response) => response.end('{}'), { tls: { identity: other } }),
  );
  const plain = held.use(await tcpSide((socket) => socket.end('220 mail.example ESMTP\r\n')));
  const eager = held.use(await tcpSide((socket) => socket.on('data', () => answerTwice(socket))));
  const pinned = (id: string, { port }: FarSide): ReturnType<typeof loopbackProvider> =>
    loopbackProvider({
      id,
      url: `https://127.0.0.1:${port}`,
      models,
      network: { pins: [own.spki, `sha256:${'0'.repeat(64)}`] },
    });
  const inOrder = (...ids: string[]): object => ({
    from: ids.map((id) => ({ endpoint: `${id}/m`, weight: 1 })),
    strategy: 'order',
  });
  site = await startSite({
    config: { egress: { timeout: TIMEOUT }, routing: ONE_ATTEMPT },
    governance: {
      providers: [
        loopbackProvider({ id: 'home', url: home.url, models }),
        loopbackProvider({ id: 'closed', url: closed, models }),
        loopbackProvider({ id: 'shut', url: closed, models }),
        pinned('stranger', stranger),
        pinned('plain', plain),
        loopbackProvider({ id: 'eager', url: `http://127.0.0.1:${eager.port}`, models }),
        loopbackProvider({
          id: 'expired',
          url: home.url,
          models,
          residency: { issued: '2026-01-01', expires: '2026-01-02' },
        }),
      ],
      models: {
        chat: inOrder('home'),
        pair: inOrder('closed', 'home'),
        down: inOrder('closed', 'shut'),
        stranger: inOrder('stranger'),
        plain: inOrder('plain'),
        eager: inOrder('eager'),
        expired: inOrder('expired'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  resident = residentBytes(site.pid);
});

after(async () => held.disposeAsync());

test('an answer without end costs a bounded amount of memory', async () => {
  for (let i = 0; i < 3; i++) {
    home.behave({ kind: 'endless' });
    assert.equal((await chat(site, chatBody('hello'))).status, 502);
  }
  const peak = residentBytes(site.pid, 'peak') - resident;
  assert.ok(peak < 192 * MEBIBYTE, `${Math.round(peak / MEBIBYTE)} MiB`);
});

for (const [kind, { plain, streamed }] of entries(ENDINGS)) {
  test(`${kind} in place of a plain answer gives ${plain.code}`, async () =>
    meets({ kind }, { stream: false, ending: plain }));
  if (streamed !== null)
    test(`${kind} in place of a stream gives ${streamed.code}`, async () =>
      meets({ kind }, { stream: true, ending: streamed }));
}

const SURFACES = {
  OpenAI: '/v1/chat/completions',
  Azure: '/openai/deployments/chat/chat/completions?api-version=2024-10-21',
};

for (const [surface, at] of Object.entries(SURFACES))
  for (const { name, provider, plain, streamed } of FAULT_ROWS) {
    test(`${surface}, ${name}: asked plainly, ${plain.code ?? 'a good answer'}`, async () =>
      meets(provider, { stream: false, ending: plain, at }));
    test(`${surface}, ${name}: asked for a stream, ${streamed.code ?? 'a good answer'}`, async () =>
      meets(provider, { stream: true, ending: streamed, at }));
  }

for (const { name, provider, plain } of COMMON_ROWS)
  test(`embeddings, ${name}: ${plain.code ?? 'a good answer'}`, async () =>
    meets(provider, { stream: false, ending: plain, at: '/v1/embeddings' }));

async function meets(
  behaviour: Behaviour,
  { stream, ending, at = SURFACES.OpenAI }: { stream: boolean; ending: Ending; at?: string },
): Promise<void> {
  home.behave(behaviour);
  const begun = performance.now();
  const body = at.endsWith('/embeddings')
    ? JSON.stringify({ model: 'chat', input: 'one two three four' })
    : chatBody('one two three four', { stream });
  const asked = await chat(site, body, {}, at);
  assert.ok(performance.now() - begun < BOUND, 'the time is bounded');
  assert.equal(asked.status, ending.status, asked.text);
  assert.equal(asked.broken, false);
  if (ending.code !== null) {
    assert.equal(errorOf(asked, ending.status === 200).code, ending.code, asked.text);
    assert.doesNotMatch(asked.text, /\[DONE\]/);
  } else if (stream)
    assert.ok(asked.text.endsWith('data: [DONE]\n\n') || asked.text.endsWith('[DONE]\r\n\r\n'));
  assert.doesNotMatch(asked.text, ITS_WORDS);
  assert.equal(asked.headers.get('sekisho-endpoint'), 'home/m');
  const [leaves] = leavesOf(await receiptOf(site, asked));
  const { status, code, http, attempts } = leaves?.outcome ?? {};
  assert.deepEqual([status, code, http, attempts], [...ending.outcome, 1]);
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
  await until(() => home.open <= 1, 'no socket to the provider is left over');
}

/** The answer to a request, and 20 ms later one that nobody asked for, on a connection that stays open. */
function answerTwice(socket: Socket): void {
  const say = (content: string): void => {
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
    const text = JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm', choices });
    const head = `content-type: application/json\r\ncontent-length: ${text.length}`;
    socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${text}`);
  };
  say('own');
  setTimeout(() => socket.destroyed || say('planted'), 20);
}

/** The error of a plain reply, or the event that ends a stream in place of its normal end. */
function errorOf(asked: Asked, inStream: boolean): { readonly code: unknown } {
  const last = inStream
    ? asked.text
        .trimEnd()
        .split('\n\n')
        .at(-1)
        ?.replace(/^data: /, '')
    : asked.text;
  const parsed: unknown = JSON.parse(last ?? '');
  assert.deepEqual(validateReply('ErrorResponse', parsed), []);
  return Object(Object(parsed)['error']);
}

for (const [model, what, ending] of [
  ['stranger', 'a certificate that is not the one of the record', REFUSED_CERTIFICATE],
  ['plain', 'no TLS', NOT_SENT],
] as const)
  for (const stream of [false, true])
    test(`${what}, asked ${stream ? 'for a stream' : 'plainly'}, gives ${ending.code}`, async () => {
      const asked = await chat(site, chatBody('one two', { stream, model }));
      assert.equal(asked.status, ending.status, asked.text);
      assert.equal(errorOf(asked, false).code, ending.code);
      const [leaves] = leavesOf(await receiptOf(site, asked));
      const { status, code, http, in: sent } = leaves?.outcome ?? {};
      assert.deepEqual([status, code, http, sent], [...ending.outcome, 0]);
    });

test('an answer that comes while nothing is asked is nobody’s', async () => {
  for (let i = 0; i < 4; i++) {
    const asked = await chat(site, chatBody('hello').replace('"chat"', '"eager"'));
    assert.equal(asked.status, 200, asked.text);
    assert.match(asked.text, /"own"/);
    // Until it is there; HTTP/1.1 has nothing that would tell it from an answer once another request is under way.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});

test('a closed endpoint is followed by the next, each with its own decision', async () => {
  const asked = await chat(site, chatBody('hello').replace('"chat"', '"pair"'));
  assert.equal(asked.status, 200, asked.text);
  assert.equal(asked.headers.get('sekisho-endpoint'), 'home/m');
  const receipt = await receiptOf(site, asked);
  const leaves = leavesOf(receipt);
  const indices = (JSON.parse(receipt) as { attempts: { decision: { index: number } }[] }).attempts;
  assert.deepEqual(
    leaves.map(({ decision }) => [decision['attempt'], decision['prev'], Object(decision['to']).endpoint]),
    [
      [1, null, 'closed/m'],
      [2, indices[0]?.decision.index, 'home/m'],
    ],
  );
  const outcomes = leaves.map(({ outcome }) => outcome ?? {});
  assert.deepEqual(
    outcomes.map(({ status, http, attempts }) => [status, http, attempts]),
    [
      ['not-sent', null, undefined],
      ['ok', 200, 2],
    ],
  );
  assert.deepEqual([outcomes[0]?.['in'], outcomes[0]?.['out']], [0, 0]);
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
});

test('when every endpoint is closed the reply names those that were tried', async () => {
  const asked = await chat(site, chatBody('hello').replace('"chat"', '"down"'));
  assert.equal(asked.status, 503);
  const { error } = JSON.parse(asked.text) as { error: { code: string; innererror: unknown } };
  assert.deepEqual(error.innererror, { tried: ['closed/m', 'shut/m'] });
  assert.match(asked.headers.get('retry-after') ?? '', /^\d+$/);
  const verdict = await verified(site, asked);
  assert.deepEqual([verdict.exit, verdict.state], [0, 'closed'], verdict.reasons.join());
});

test('an endpoint whose facts have expired is denied', async () => {
  const seen = home.requests.length;
  const asked = await chat(site, chatBody('hello').replace('"chat"', '"expired"'));
  assert.equal(asked.status, 403, asked.text);
  assert.equal(JSON.parse(asked.text).error.code, 'residency_policy_violation');
  assert.equal(home.requests.length, seen);
  const [leaves] = leavesOf(await receiptOf(site, asked));
  assert.deepEqual([leaves?.decision['effect'], leaves?.decision['to']], ['deny', null]);
});

function entries<K extends string, V>(record: Readonly<Record<K, V>>): readonly (readonly [K, V])[] {
  // The record's type is closed, so that its keys are exactly K.
  return Object.entries(record) as [K, V][];
}
