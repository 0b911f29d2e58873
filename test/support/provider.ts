import http from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { behaveAs } from './provider-behaviour.ts';
import type { Behaviour } from './provider-behaviour.ts';

export interface ProviderOptions {
  /** A loopback address; 127.0.0.1 unless told. */
  readonly host?: string;
  readonly port?: number;
  /** PEM; without it the provider speaks plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** What every request gets that no call of `behave` was made for. */
  readonly behaviour?: Behaviour;
}

/** One request as the provider received it, whole. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** Milliseconds of `performance.now()` when the body was complete. */
  readonly at: number;
  /** Resolves with `performance.now()` when the exchange is over: true when the client left before the answer ended. */
  readonly over: Promise<{ readonly at: number; readonly clientLeft: boolean }>;
}

/** A provider of the OpenAI kind that really listens, keeps what it sees, and misbehaves when asked to. */
export interface Provider extends AsyncDisposable {
  /** Without the version part: `http://127.0.0.1:4711`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
  /** Connections accepted since the start, also those that sent nothing. */
  readonly connections: number;
  /** Connections open now. */
  readonly open: number;
  /** Bytes read from all connections, heads and TLS records included. */
  readonly bytes: number;
  /** Bytes written to the connections open now, those that still wait in their buffers included. */
  readonly sent: number;
  /** Queues how the next requests are answered, one each. */
  behave(...next: readonly Behaviour[]): void;
  /** How requests are answered once the queue is empty. */
  behaveAlways(behaviour: Behaviour): void;
  /** Resolves once `count` requests have arrived since the start. */
  arrived(count: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts a provider on a loopback address. */
export async function startProvider(options: ProviderOptions = {}): Promise<Provider> {
  const state = new ProviderState(options.behaviour ?? { kind: 'answer' });
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    state.take(request, response);
  const server =
    options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
  server.on('connection', (socket: Socket) => state.accept(socket));
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  // A server that listens on TCP has an AddressInfo; only pipes have a string.
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      state.destroySockets();
    });
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    host,
    port,
    requests: state.requests,
    get connections() {
      return state.connections;
    },
    get open() {
      return state.sockets.size;
    },
    get bytes() {
      return state.bytes();
    },
    get sent() {
      return state.sent();
    },
    behave: (...next) => void state.queue.push(...next),
    behaveAlways: (behaviour) => void (state.always = behaviour),
    arrived: (count) => state.arrived(count),
    close,
    [Symbol.asyncDispose]: close,
  };
}

class ProviderState {
  readonly requests: ReceivedRequest[] = [];
  readonly sockets = new Set<Socket>();
  readonly queue: Behaviour[] = [];
  always: Behaviour;
  connections = 0;
  #bytesOfClosed = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(always: Behaviour) {
    this.always = always;
  }

  accept(socket: Socket): void {
    this.connections += 1;
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.#bytesOfClosed += socket.bytesRead;
    });
  }

  bytes(): number {
    let open = 0;
    for (const socket of this.sockets) open += socket.bytesRead;
    return this.#bytesOfClosed + open;
  }

  sent(): number {
    let written = 0;
    for (const socket of this.sockets) written += socket.bytesWritten;
    return written;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    const pieces: Buffer[] = [];
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const over = new Promise<{ at: number; clientLeft: boolean }>((resolve) => {
        response.on('close', () =>
          resolve({ at: performance.now(), clientLeft: !response.writableFinished }),
        );
      });
      const { method = '', url = '', headers } = request;
      const body = Buffer.concat(pieces);
      this.requests.push({ method, path: url, headers, body, at: performance.now(), over });
      this.#wake();
      behaveAs(this.queue.shift() ?? this.always, { path: url, body, response });
    });
  }

  arrived(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
      this.#wake();
    });
  }

  destroySockets(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  #wake(): void {
    const ready = this.#waiting.filter(({ count }) => count <= this.requests.length);
    this.#waiting = this.#waiting.filter((one) => !ready.includes(one));
    for (const { resolve } of ready) resolve();
  }
}
