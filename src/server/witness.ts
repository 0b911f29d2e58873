import { SECOND } from '../core/duration.ts';
import type { Config } from '../core/config.ts';
import { toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { cosignerFromSeed, parseCosigners } from '../ledger/witness/keys.ts';
import { openWitnessState, stateIn } from '../ledger/witness/state.ts';
import { Witness } from '../ledger/witness/witness.ts';
import { listen, type Incoming } from './listen.ts';
import { admission, tlsOf, urlOf } from './serve.ts';

/** The largest request: a proof of 63 hashes, and a note with many post-quantum signatures. */
const MAX_BODY = 256 * 1024;
const DRAIN = 5 * SECOND;
const TEXT = 'text/plain; charset=utf-8';

const SEED_BYTES = 32;

export interface WitnessOptions {
  readonly config: Config;
  readonly log: Log;
  readonly world: World;
  readonly dataDir: string;
  /** The text of the key file. */
  readonly keys: string;
  /** Logs to add, each with its origin. */
  readonly logs: readonly { readonly vkey: string; readonly origin: string }[];
}

/** Both kinds of key for a witness of this name: the file's text and the vkeys. @throws Fault `ledger.bad_key`. */
export function newWitnessKeys(name: string, { random }: World): { text: string; vkeys: readonly string[] } {
  const keys = (['ed25519', 'ml-dsa-44'] as const).map((algorithm) =>
    cosignerFromSeed(name, algorithm, random.bytes(SEED_BYTES)),
  );
  return { text: keys.map(({ text }) => `${text}\n`).join(''), vkeys: keys.map(({ vkey }) => vkey) };
}

/** Lets a witness cosign one more log, at once also when it runs. */
export async function addWitnessLog(dataDir: string, vkey: string, origin: string): Promise<void> {
  await stateIn(dataDir).addLog(vkey, origin);
}

/** A running witness; its folder is held until it is disposed. */
export interface ServingWitness extends AsyncDisposable {
  readonly url: string;
}

/**
 * Serves C2SP tlog-witness, both prefixes at the root and under /witness.
 * @throws Fault as `listen`, `ledger.in_use`, `ledger.bad_key`.
 */
export async function serveWitness(options: WitnessOptions): Promise<ServingWitness> {
  const { dataDir, logs, world } = options;
  const keys = parseCosigners(options.keys);
  const state = await openWitnessState(dataDir);
  try {
    for (const { vkey, origin } of logs) await state.addLog(vkey, origin);
    const serving = await open(new Witness(state, keys, world), options);
    return {
      url: serving.url,
      async [Symbol.asyncDispose]() {
        await serving[Symbol.asyncDispose]();
        state[Symbol.dispose]();
      },
    };
  } catch (thrown) {
    state[Symbol.dispose]();
    throw thrown;
  }
}

async function open(
  witness: Witness,
  { config, log }: Pick<WitnessOptions, 'config' | 'log'>,
): Promise<ServingWitness> {
  const admits = admission(config);
  const { host, port, tls, trustProxy } = config.server;
  const listening = await listen({
    host,
    port,
    tls: tls === null ? null : tlsOf(tls),
    refuse: () => null,
    serve(incoming) {
      void answer(witness, incoming).catch((thrown: unknown) => {
        const { code, kind } = toFault(thrown);
        if (code !== 'gateway.request_too_large') log.error('witness.failed', { code });
        const status = code === 'gateway.request_too_large' ? 413 : kind === 'invalid' ? 400 : 503;
        if (!incoming.reply.begun()) send(incoming, status, `${code}\n`);
      });
      return true;
    },
    admits: (peer) => admits(peer, trustProxy),
    fetch: () => new Response(null, { status: 404 }),
    malformed: () => Buffer.from('the request is not HTTP/1.1\n'),
  });
  return {
    url: urlOf(config, listening),
    async [Symbol.asyncDispose]() {
      await listening.drain(DRAIN);
      await listening[Symbol.asyncDispose]();
    },
  };
}

async function answer(witness: Witness, incoming: Incoming): Promise<void> {
  const path = incoming.path.replace(/^\/witness(?=\/)/, '');
  const [, originHash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path) ?? [];
  const isRead = incoming.method === 'GET' || incoming.method === 'HEAD';
  if (path === '/add-checkpoint') {
    if (incoming.method !== 'POST') return send(incoming, 405, 'POST only\n', { allow: 'POST' });
    const reply = await witness.addCheckpoint((await incoming.readBody(MAX_BODY)).toString('utf8'));
    if (reply === null) return send(incoming, 503, 'too many requests wait\n', { 'retry-after': '1' });
    const type = reply.status === 409 ? 'text/x.tlog.size' : TEXT;
    return send(incoming, reply.status, reply.body, { 'content-type': type });
  }
  if (originHash !== undefined && !isRead) return send(incoming, 405, 'GET only\n', { allow: 'GET, HEAD' });
  const note = originHash === undefined ? null : await witness.checkpoint(originHash);
  if (note === null) return send(incoming, 404, 'not found\n');
  send(incoming, 200, note, { 'cache-control': 'no-cache' });
}

function send(
  { method, reply }: Incoming,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text);
  reply.head(status, { 'content-type': TEXT, 'content-length': String(body.length), ...headers });
  reply.end(method === 'HEAD' ? Buffer.alloc(0) : body);
}
