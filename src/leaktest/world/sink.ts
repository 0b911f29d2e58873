import { createServer, request as send } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import { createServer as createTcp } from 'node:net';
import type { Socket } from 'node:net';
import type { Certificate } from './certificates.ts';

/** One HTTP request as a sink received it. */
export interface Arrived {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a sink answers instead of a good completion; null cuts the connection. */
export type Answer = { status: number; headers?: Record<string, string>; body?: string } | null;

/** A far side on one loopback address that speaks plain HTTP and TLS on the same port and counts what reaches it. */
export class Sink implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  connections = 0;
  /** Connections open now. */
  open = 0;
  requests: Arrived[] = [];
  /** Decides the answer; null means a good completion. */
  script: ((arrived: Arrived) => Answer | 'good') | null = null;
  #bytes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #servers: readonly [Server, Server];
  readonly #tcp = createTcp((socket) => this.#accept(socket));

  constructor(name: string, address: string, certificate: Certificate) {
    this.name = name;
    this.address = address;
    const take = (request: IncomingMessage, response: ServerResponse): void => this.#take(request, response);
    this.#servers = [createServer(take), createTls({ ...certificate }, take)];
    for (const server of this.#servers) server.keepAliveTimeout = 0;
  }

  /** Bytes that came, heads and TLS records included. */
  get bytes(): number {
    let running = 0;
    for (const socket of this.#sockets) running += socket.bytesRead;
    return this.#bytes + running;
  }

  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen(port, this.address, () => {
        const bound = this.#tcp.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
      });
    });
  }

  /** Forgets what came, cuts what is open and answers well again. */
  reset(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#bytes = 0;
    this.connections = 0;
    this.requests = [];
    this.script = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#tcp.close(resolve));
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.open += 1;
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.open -= 1;
      if (this.#sockets.delete(socket)) this.#bytes += socket.bytesRead;
    });
    // RFC 8446 section 5.1: the first byte of a TLS connection is the record type handshake, 22.
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const [plain, secure] = this.#servers;
      if (first[0] === 22) {
        secure.emit('connection', socket);
        return;
      }
      plain.emit('connection', socket);
      socket.resume();
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const pieces: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString('utf8');
      const { method = '', url: path = '', headers } = request;
      const arrived = { method, path, headers, body };
      this.requests.push(arrived);
      const answer = this.script?.(arrived) ?? (this.script === null ? 'good' : null);
      if (answer === null) response.destroy();
      else if (answer === 'good') void serve(body, response);
      else {
        response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
        response.end(
          answer.body ?? '{"error":{"message":"scripted","type":"error","param":null,"code":null}}',
        );
      }
    });
  }
}

// Model servers fetch what a request refers to; whoever passes such a reference on makes this happen.
async function serve(body: string, response: ServerResponse): Promise<void> {
  for (const [url] of body.matchAll(/http:\/\/127\.0\.0\.\d+:\d+\/[\w./-]*/g)) await fetchOnce(url);
  const model: unknown = /"model":\s*"([^"]*)"/.exec(body)?.[1] ?? 'm';
  const message = { role: 'assistant', content: 'a good answer', refusal: null };
  const choices = [{ index: 0, message, logprobs: null, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  const reply = {
    id: 'chatcmpl-leak',
    object: 'chat.completion',
    created: 1_760_000_000,
    model,
    choices,
    usage,
  };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(reply));
}

function fetchOnce(url: string): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => resolve();
    send(url, { timeout: 1_000 }, (reply) => void reply.resume().on('end', done))
      .on('error', done)
      .on('timeout', done)
      .end();
  });
}
