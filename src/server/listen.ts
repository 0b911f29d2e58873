import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { MINUTE, SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Reply } from '../gateway/exchange.ts';
import { readBody } from './body.ts';
import { replyOf } from './reply.ts';

/** For the files that read and answer beside this one, which alone may open sockets. */
export type HttpRequest = IncomingMessage;
export type HttpResponse = ServerResponse;

/** One request as it arrived, before anything was judged. */
export interface Incoming {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without its question mark; empty when there is none. */
  readonly query: string;
  /** By lower-case name; repeated fields are joined as RFC 9110 section 5.3 says. */
  header(name: string): string | null;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /**
   * The whole body, after transfer decoding.
   * @throws Fault `gateway.request_too_large` beyond `limit` bytes; the connection then closes undrained.
   */
  readBody(limit: number): Promise<Buffer>;
  readonly reply: Reply;
}

export interface ListenTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | null;
}

/** A whole reply to a request that goes no further. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: ListenTls | null;
  /** Judges every request by its head, before `serve` and `fetch`; null lets it pass. */
  readonly refuse: (incoming: Incoming) => Refusal | null;
  /** True when it served the request; false leaves it to `fetch`. */
  readonly serve: (incoming: Incoming) => boolean;
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /** What a request that is not HTTP gets. */
  readonly malformed: () => Buffer;
  /** False for addresses that may not connect; their connections are closed without a word. */
  readonly admits: (peer: string) => boolean;
  /** For tests: how long a client may take nothing of its reply. */
  readonly stallMs?: number;
}

export interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Takes no new connections and waits for running replies, at most `ms`; then cuts what is left. */
  drain(ms: number): Promise<void>;
  /**
   * Connections from now on see these; a listener without TLS stays without.
   * @throws what OpenSSL says of a certificate and a key that do not belong together; the old ones then stay.
   */
  useTls(tls: ListenTls): void;
}

const HEADERS_TIMEOUT = 20 * SECOND;
const REQUEST_TIMEOUT = 5 * MINUTE;
const KEEP_ALIVE = 65 * SECOND;
/** How long a client may take nothing of its reply while bytes wait for it. */
const STALL = MINUTE;
/** RFC 9112 section 3.2 asks for 400, which Node would answer without a body. */
const OWN_CHECK_OF_HOST = { requireHostHeader: false };

/** Opens the listening socket. @throws Fault `server.port_in_use`, `server.cannot_listen`. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const others = getRequestListener(options.fetch, { overrideGlobalObjects: false });
  const server = options.tls === null ? createServer(OWN_CHECK_OF_HOST) : tlsServer(options.tls);
  server.headersTimeout = HEADERS_TIMEOUT;
  server.requestTimeout = REQUEST_TIMEOUT;
  server.keepAliveTimeout = KEEP_ALIVE;
  server.on('connection', (socket: Socket) => {
    if (!options.admits(socket.remoteAddress ?? '')) socket.destroy();
  });
  const running = new RunningReplies();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    running.add(request, response);
    const incoming = incomingOf(request, response, options.stallMs ?? STALL);
    const refusal = isMalformed(request) ? malformed(options) : options.refuse(incoming);
    if (refusal !== null) answer(incoming.reply, refusal);
    else if (!options.serve(incoming)) void others(request, response);
  });
  server.on('clientError', (_error: Error, socket: Socket) => {
    if (running.mayAnswer(socket)) refuseMalformed(socket, options);
    else socket.destroy();
  });
  await opened(server, options);
  // A TCP server's address is always an object.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    drain: async (ms) => drainServer(server, ms),
    useTls(tls) {
      if (server instanceof TlsServer) server.setSecureContext(tlsOptions(tls));
    },
    [Symbol.asyncDispose]: async () => drainServer(server, 0),
  };
}

/** The requests of each connection whose replies have not ended. */
class RunningReplies {
  readonly #of = new WeakMap<Socket, Map<ServerResponse, IncomingMessage>>();

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const running = this.#of.get(socket) ?? new Map<ServerResponse, IncomingMessage>();
    this.#of.set(socket, running.set(response, request));
    response.once('close', () => running.delete(response));
  }

  /**
   * Whether an answer to what is no HTTP can reach its sender as one: bytes written beside a running reply would stand
   * in the middle of it, or be taken for it. A lone request that broke off in its own body is what is answered.
   */
  mayAnswer(socket: Socket): boolean {
    const running = [...(this.#of.get(socket) ?? [])];
    return (
      running.length === 0 ||
      (running.length === 1 &&
        running.every(([response, request]) => !request.complete && !response.headersSent))
    );
  }
}

/** Fields whose repetition two readers could take differently; Node keeps the first and drops the rest. */
const SINGLE = new Set(['host', 'authorization', 'api-key', 'x-api-key', 'content-length', 'content-type']);

// RFC 9112 section 3.2: none and more than one Host are bad requests.
function isMalformed({ headers, httpVersion, rawHeaders }: IncomingMessage): boolean {
  return ambiguous(rawHeaders) || (headers.host === undefined && httpVersion !== '1.0');
}

// A repeated field of these decides who asks and what is read.
function ambiguous(rawHeaders: readonly string[]): boolean {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase() ?? '';
    if (!SINGLE.has(name)) continue;
    if (seen.has(name)) return true;
    seen.add(name);
  }
  return false;
}

function malformed(options: ListenOptions): Refusal {
  const body = options.malformed();
  const headers = { 'content-type': 'application/json; charset=utf-8', connection: 'close' };
  return { status: 400, headers, body };
}

function answer(reply: Reply, { status, headers, body }: Refusal): void {
  reply.head(status, { ...headers, 'content-length': String(body.length) });
  reply.end(body);
}

// For bytes that Node could not read as a request, so that there is no response to write to.
function refuseMalformed(socket: Socket, options: ListenOptions): void {
  if (!socket.writable) return;
  const { headers, body } = malformed(options);
  const fields = Object.entries({ ...headers, 'content-length': String(body.length) });
  const head = ['HTTP/1.1 400 Bad Request', ...fields.map(([name, value]) => `${name}: ${value}`)];
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
}

function tlsServer(tls: ListenTls): Server {
  const client = tls.clientCa === null ? {} : { requestCert: true, rejectUnauthorized: true };
  return createTlsServer({ ...OWN_CHECK_OF_HOST, ...tlsOptions(tls), ...client });
}

function tlsOptions({ cert, key, clientCa }: ListenTls): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa === null ? {} : { ca: clientCa }) };
}

async function opened(server: Server, { host, port }: ListenOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EADDRINUSE') {
      const message = `port ${port} on ${host} is in use; stop the other program or choose another with --port`;
      reject(new Fault('conflict', 'server.port_in_use', message, { cause }));
    } else {
      const message = `cannot listen on ${host}:${port}: ${cause.code ?? cause.message}`;
      reject(new Fault('unavailable', 'server.cannot_listen', message, { cause }));
    }
  });
  server.listen({ host, port }, resolve);
  await promise;
}

async function drainServer(server: Server, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), ms);
  // Connections that were busy become idle one by one.
  const sweep = setInterval(() => server.closeIdleConnections(), SECOND / 10);
  await promise;
  clearTimeout(cut);
  clearInterval(sweep);
}

function incomingOf(request: IncomingMessage, response: ServerResponse, stallMs: number): Incoming {
  const url = request.url ?? '/';
  const query = url.indexOf('?');
  return {
    method: request.method ?? '',
    path: query === -1 ? url : url.slice(0, query),
    query: query === -1 ? '' : url.slice(query + 1),
    headers: request.headers,
    header(name) {
      const value = request.headers[name];
      return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value;
    },
    readBody: async (limit) => readBody(request, limit),
    reply: replyOf(request, response, stallMs),
  };
}
