import { silentLog } from '../src/core/log.ts';
import { systemWorld } from '../src/core/world.ts';
import { prepareOpenAiChat } from '../src/gateway/adapter/openai.ts';
import { LONGEST_COMPLETION, readCompletion } from '../src/gateway/chat/completions.ts';
import { plainRelay } from '../src/gateway/dispatch/relay-plain.ts';
import { parseChat } from '../src/gateway/chat/request.ts';
import { createEgress } from '../src/egress/egress.ts';
import type { EndpointChannel } from '../src/egress/types.ts';
import { listen } from '../src/server/listen.ts';
import { credentialOf } from '../src/identity/credentials.ts';
import { hostAllowed } from '../src/identity/host.ts';
import { keyHash } from '../src/identity/key.ts';
import { NOTHING_ALLOWED } from '../src/policy/endpoints.ts';
import { network, permit, BUNDLE } from '../test/support/egress.ts';
import { ask, sampleEngine } from '../test/support/policy.ts';
import type { Load } from './driver.ts';
import { computing, cpuSince, type Part } from './cpu.ts';
import { roadParts } from './road-parts.ts';

export interface PartsOptions {
  readonly load: Load;
  /** The provider's URL. */
  readonly provider: string;
  /** A chat request and an answer to it, as they go over the wire. */
  readonly request: Buffer;
  readonly answer: Buffer;
  /** Milliseconds for the part that needs a running load. */
  readonly ms: number;
}

const EXCHANGES = 5_000;
const WARM_UP = 1_000;
const CONNECTIONS = 32;
const TIMEOUT_MS = 30_000;
const KEY = `sek_${'0'.repeat(52)}`;

/** Measures each part of a request alone, in this process. */
export async function measureParts(options: PartsOptions): Promise<readonly Part[]> {
  const { request, answer, provider } = options;
  const chat = parseChat(request);
  const engine = sampleEngine();
  const input = ask();
  const target = {
    url: provider,
    model: 'fast',
    secret: null,
    rules: NOTHING_ALLOWED,
    timeoutMs: TIMEOUT_MS,
  };
  return [
    await httpServer(options),
    computing('host and key', () => void admit()),
    computing('parse and check the depth and shape', () => void parseChat(request)),
    computing('label and plan, memoised', () => {
      engine.label('chat', null);
      engine.plan(input);
    }),
    computing('write the provider’s request', () => void prepareOpenAiChat(chat, target)),
    ...(await roadParts({ request, answer })),
    await egressPart(provider, request),
    computing('gather and check the answer', () => relay(answer)),
  ];
}

function admit(): boolean {
  const credential = credentialOf({ authorization: `Bearer ${KEY}` }, false);
  return hostAllowed('127.0.0.1:8420', { hosts: [] }) && credential !== null && keyHash(credential) !== '';
}

function relay(answer: Buffer): void {
  const nothing = (): void => {};
  const { handler } = plainRelay(
    {
      endpoint: 'near/fast',
      reply: {
        begun: () => false,
        head: nothing,
        write: () => true,
        end: nothing,
        onDrain: nothing,
        onGone: nothing,
        cut: nothing,
      },
      begin: nothing,
      committed: nothing,
      answered: nothing,
      resume: nothing,
      abort: nothing,
    },
    { read: readCompletion, longest: LONGEST_COMPLETION },
  );
  handler.onHead(200, { 'content-type': 'application/json' });
  handler.onData(answer);
  handler.onEnd();
}

async function httpServer({ load, answer, ms }: PartsOptions): Promise<Part> {
  await using listening = await listen({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    refuse: () => null,
    serve(incoming) {
      const { reply } = incoming;
      void incoming.readBody(2 ** 20).then(() => {
        reply.head(200, { 'content-type': 'application/json', 'content-length': String(answer.length) });
        reply.end(answer);
      });
      return true;
    },
    fetch: () => new Response(null, { status: 404 }),
    malformed: () => Buffer.alloc(0),
    admits: () => true,
  });
  const target = { origin: `http://127.0.0.1:${listening.port}`, key: KEY, model: 'chat' };
  const measure = async (connections: number): Promise<number> => {
    const job = { kind: 'closed', target, connections } as const;
    await load.run({ ...job, ms: ms / 4 });
    const before = process.cpuUsage();
    const { whole } = await load.run({ ...job, ms });
    return cpuSince(before) / whole.count;
  };
  return {
    name: 'HTTP server: request in, answer out',
    many: await measure(CONNECTIONS),
    alone: await measure(1),
  };
}

async function egressPart(provider: string, request: Buffer): Promise<Part> {
  await using egress = createEgress({
    resolvers: null,
    ca: null,
    posture: () => 'private',
    world: systemWorld(),
    log: silentLog,
  });
  const channel = egress.endpoint(network(Number(new URL(provider).port)), BUNDLE);
  const measure = async (connections: number): Promise<number> => {
    await sendMany(channel, request, { count: WARM_UP, connections });
    const before = process.cpuUsage();
    await sendMany(channel, request, { count: EXCHANGES, connections });
    return cpuSince(before) / EXCHANGES;
  };
  return { name: 'egress: send and receive', many: await measure(CONNECTIONS), alone: await measure(1) };
}

async function sendMany(
  channel: EndpointChannel,
  body: Buffer,
  { count, connections }: { count: number; connections: number },
): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await send(channel, body);
  };
  await Promise.all(Array.from({ length: connections }, worker));
}

function send(channel: EndpointChannel, body: Buffer): Promise<void> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  return new Promise((resolve, reject) => {
    channel.dispatch(
      permit(),
      { method: 'POST', path: '/v1/chat/completions', headers, body, timeoutMs: TIMEOUT_MS },
      { onHead: () => {}, onData: () => true, onEnd: () => resolve(), onError: reject },
    );
  });
}
