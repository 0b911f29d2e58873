import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { MINUTE, SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Reply } from '../gateway/exchange.ts';

/** One request as it arrived, before anything was judged. */
export interface Incoming {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
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

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer; readonly clientCa: Buffer | null } | null;
  /** True when it served the request; false leaves it to `fetch`. */
  readonly serve: (incoming: Incoming) => boolean;
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /** What a request that is not HTTP gets. */
  readonly malformed: () => Buffer;
  /** False for addresses that may not connect; their connections are closed without a word. */
  readonly admits: (peer: string) => boolean;
}

export interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Takes no new connections and waits for running replies, at most `ms`; then cuts what is left. */
  drain(ms: number): Promise<void>;
}

const HEADERS_TIMEOUT = 20 * SECOND;
const REQUEST_TIMEOUT = 5 * MINUTE;
const KEEP_ALIVE = 65 * SECOND;
/** How long a client that sends too much may still read our answer. */
const LINGER = 2 * SECOND;
/** What is left of a request that was answered early; more is not read. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** Opens the listening socket. @throws Fault `server.port_in_use`, `server.cannot_listen`. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const others = getRequestListener(options.fetch, { overrideGlobalObjects: false });
  const server = options.tls === null ? createServer() : tlsServer(options.tls);
  server.headersTimeout = HEADERS_TIMEOUT;
  server.requestTimeout = REQUEST_TIMEOUT;
  server.keepAliveTimeout = KEEP_ALIVE;
  server.on('connection', (socket: Socket) => {
    if (!options.admits(socket.remoteAddress ?? '')) socket.destroy();
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (ambiguous(request.rawHeaders)) refuseMalformed(request.socket, options);
    else if (!options.serve(incomingOf(request, response))) void others(request, response);
  });
  server.on('clientError', (_error: Error, socket: Socket) => refuseMalformed(socket, options));
  await opened(server, options);
  // A TCP server's address is always an object.
  const { port } = server.address() as AddressInfo;
  const drain = async (ms: number): Promise<void> => drainServer(server, ms);
  return { port, drain, [Symbol.asyncDispose]: async () => drain(0) };
}

/** Fields whose repetition two readers could take differently; Node keeps the first and drops the rest. */
const SINGLE = new Set(['host', 'authorization', 'api-key', 'x-api-key', 'content-length', 'content-type']);

// RFC 9112 section 3.2: more than one Host is a bad request; the rest decides who asks and what is read.
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

function refuseMalformed(socket: Socket, options: ListenOptions): void {
  if (!socket.writable) return;
  const body = options.malformed();
  const type = 'content-type: application/json; charset=utf-8';
  const head = `HTTP/1.1 400 Bad Request\r\n${type}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), body]));
}

function tlsServer(tls: NonNullable<ListenOptions['tls']>): Server {
  const { cert, key, clientCa } = tls;
  const client = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  return createTlsServer({ cert, key, minVersion: 'TLSv1.2', ...client });
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

function incomingOf(request: IncomingMessage, response: ServerResponse): Incoming {
  const url = request.url ?? '/';
  const query = url.indexOf('?');
  return {
    method: request.method ?? '',
    path: query === -1 ? url : url.slice(0, query),
    headers: request.headers,
    header(name) {
      const value = request.headers[name];
      return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value;
    },
    readBody: async (limit) => readBody(request, limit),
    reply: replyOf(request, response),
  };
}

function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const refuse = (): void => {
    request.removeAllListeners('data');
    request.pause();
    const message = `the body is larger than ${limit} bytes`;
    reject(new Fault('invalid', 'gateway.request_too_large', message));
  };
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    refuse();
    return promise;
  }
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > limit) refuse();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    const [only] = chunks;
    resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
  });
  request.on('error', (cause) => reject(clientLeft(cause)));
  request.on('close', () => {
    if (!request.complete) reject(clientLeft(null));
  });
  return promise;
}

function clientLeft(cause: unknown): Fault {
  return new Fault('invalid', 'server.client_left', 'the client left before its request was complete', {
    cause,
  });
}

// What is left of a request that was answered early is read only when it is short; else the connection must go.
function leavesUnread(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  const bytes = Number(length ?? (coding === undefined ? 0 : Number.POSITIVE_INFINITY));
  return !request.complete && bytes > MAX_UNREAD_BYTES;
}

// The reply has its length, so the client can take it whole while it is still writing. Ending the response now would
// close the socket over unread bytes, and the reset that follows can overtake the reply.
function endUnread(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  request.pause();
  response.write(bytes);
  const close = setTimeout(() => request.socket.destroy(), LINGER);
  request.socket.once('close', () => clearTimeout(close));
}

function replyOf(request: IncomingMessage, response: ServerResponse): Reply {
  return {
    head(status, headers) {
      if (response.headersSent) return;
      response.writeHead(
        status,
        leavesUnread(request) ? { ...headers, connection: 'close' } : { ...headers },
      );
    },
    write: (bytes) => response.write(bytes),
    end(bytes) {
      // HEAD is answered as GET, without the body: Node leaves it out by itself.
      if (bytes === undefined) response.end();
      else if (leavesUnread(request)) endUnread(request, response, bytes);
      else response.end(bytes);
    },
    onDrain: (resume) => response.once('drain', resume),
    onGone(gone) {
      const left = (): void => {
        if (!response.writableFinished) gone();
      };
      if (request.socket.destroyed) left();
      else response.once('close', left);
    },
    cut: () => request.socket.destroy(),
  };
}
