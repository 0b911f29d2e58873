import { Resolver } from 'node:dns/promises';
import { createServer, request as plainRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Scene } from '../types.ts';

/** A proxy without a single guard, which runs only as a target of the suite and only on loopback. */
export interface LeakyProxy extends AsyncDisposable {
  readonly url: string;
}

interface Upstream {
  readonly status: number;
  readonly text: string;
  readonly location: string | null;
}

const MAX_HOPS = 3;
const TIMEOUT_MS = 1_000;
const NOT_FORWARDED = new Set(['host', 'connection', 'content-length']);

export async function startLeakyProxy(
  scene: Scene,
  log: (line: string) => Promise<void>,
): Promise<LeakyProxy> {
  const leaky = new Leaky(scene, log);
  await leaky.phoneHome('{"event":"started"}');
  const server = createServer((request, response) => {
    void leaky.take(request, response).catch((error: unknown) => response.writeHead(502).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  return {
    url: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Leaky {
  readonly #scene: Scene;
  readonly #log: (line: string) => Promise<void>;
  readonly #resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 1 });

  constructor(scene: Scene, log: (line: string) => Promise<void>) {
    this.#scene = scene;
    this.#log = log;
    this.#resolver.setServers([scene.resolver]);
  }

  async phoneHome(body: string): Promise<void> {
    const to = this.#scene.env?.['OTEL_EXPORTER_OTLP_ENDPOINT'];
    if (to !== undefined) await this.#send(`${to}/v1/traces`, 'POST', {}, body).catch(() => null);
  }

  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(Buffer.from(piece));
    const body = Buffer.concat(pieces).toString('utf8');
    await this.#log(`${request.method} ${request.url} ${body}\n`);
    await this.phoneHome(body);
    let last: Upstream = { status: 502, text: 'no provider', location: null };
    for (const base of this.#bases(body)) {
      const path = (request.url ?? '').replace(/^\/v1/, '');
      last = await this.#follow(`${base}${path}`, request, body).catch((error: unknown) => {
        return { status: 502, text: String(error), location: null };
      });
      if (last.status < 400) break;
    }
    response.writeHead(last.status, { 'content-type': 'application/json' }).end(last.text);
  }

  /** Whatever the caller says, else every provider of the model, else the first one that there is. */
  #bases(body: string): readonly string[] {
    const said = /"(?:base_url|api_base)":\s*"([^"]+)"/.exec(body)?.[1];
    if (said !== undefined) return [said.replaceAll('\\\\', '\\')];
    const model = /"model":\s*"([^"]*)"/.exec(body)?.[1] ?? '';
    const ids = this.#scene.models[model] ?? this.#scene.providers.slice(0, 1).map(({ id }) => id);
    const assumed = this.#scene.env?.['OPENAI_BASE_URL'] ?? 'http://127.0.0.1:9';
    return this.#scene.providers.filter(({ id }) => ids.includes(id)).map(({ url }) => url ?? assumed);
  }

  async #follow(url: string, { method = 'GET', headers }: IncomingMessage, body: string): Promise<Upstream> {
    let reply = await this.#send(url, method, headers, body);
    for (let hop = 0; hop < MAX_HOPS && reply.location !== null; hop++)
      reply = await this.#send(reply.location, method, headers, body);
    return reply;
  }

  async #send(text: string, method: string, headers: IncomingHttpHeaders, body: string): Promise<Upstream> {
    const url = new URL(text);
    const proxy = this.#scene.env?.['HTTP_PROXY'];
    const via = proxy === undefined || url.protocol === 'https:' ? null : new URL(proxy);
    const host = (via ?? url).hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const forwarded = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name));
    const options = {
      host: isIP(host) === 0 ? await this.#resolve(host) : host,
      port: (via ?? url).port,
      path: via === null ? `${url.pathname}${url.search}` : url.href,
      method,
      headers: { ...Object.fromEntries(forwarded), host: url.host },
      timeout: TIMEOUT_MS,
      servername: url.hostname,
      rejectUnauthorized: false,
    };
    return exchange(url.protocol === 'https:' ? secureRequest : plainRequest, options, body);
  }

  // The newer family first, and whatever the last answer was.
  async #resolve(host: string): Promise<string> {
    const six = await this.#resolver.resolve6(host).catch(() => []);
    const four = await this.#resolver.resolve4(host).catch(() => []);
    return six[0] ?? four.at(-1) ?? '127.0.0.1';
  }
}

function exchange(send: typeof plainRequest, options: object, body: string): Promise<Upstream> {
  return new Promise((resolve, reject) => {
    const sent = send(options, (reply) => {
      const pieces: Buffer[] = [];
      reply.on('data', (piece: Buffer) => pieces.push(piece));
      reply.on('error', reject);
      reply.on('end', () => {
        const { statusCode: status = 502, headers } = reply;
        const location = status < 400 ? (headers.location ?? null) : null;
        resolve({ status, location, text: Buffer.concat(pieces).toString('utf8') });
      });
    });
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.end(body);
  });
}
