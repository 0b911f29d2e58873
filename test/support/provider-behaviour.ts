import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { azureReply, azureStream } from './azure-wire.ts';
import { embeddingsReply } from './embeddings-wire.ts';
import { chatReply, chatStream, MODELS, readAsked } from './provider-wire.ts';
import type { Answer, Asked } from './provider-wire.ts';

/** How a provider answers one request. */
export type Behaviour =
  | ({ readonly kind: 'answer' } & Answer)
  /** The good answer, a piece every `everyMs`; a plain one whole after four times as long. */
  | ({ readonly kind: 'drip'; readonly everyMs: number } & Answer)
  /** Any status, with these headers and body: 307 with `location`, 429 with `retry-after-ms`, 500, 401. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Bytes of the test's own on the connection. */
  | { readonly kind: 'raw'; readonly send: (wire: Wire) => void }
  | { readonly kind: Misbehaviour };

/** A connection that waits for an answer, and what a good one would say. */
export interface Wire {
  readonly socket: Socket;
  readonly stream: boolean;
  /** A whole completion, or the embeddings that were asked for. */
  readonly whole: string;
  /** The events of a stream, the last one being its end. */
  readonly events: readonly string[];
}

export type Misbehaviour =
  /** 200 and `application/json`, but no JSON. */
  | 'garbage'
  /** JSON that is no chat completion. */
  | 'wrong-shape'
  /** An HTML page with status 200. */
  | 'wrong-type'
  /** A well-framed body whose JSON is cut in the middle. */
  | 'half-json'
  /** Half of the announced body, then the connection is cut. */
  | 'short-body'
  /** Half of the stream's pieces, then the connection is cut. */
  | 'half-stream'
  /** All of the stream but its last line. */
  | 'no-done'
  /** A stream whose third event is no JSON. */
  | 'garbage-stream'
  /** A stream with an error event in the middle, then its end. */
  | 'error-event'
  /** Nothing, ever. */
  | 'silence'
  /** A head, half a stream, then nothing, ever. */
  | 'silence-inside'
  /** A head with a megabyte of headers. */
  | 'huge-headers'
  /** The good answer with `content-encoding: gzip`. */
  | 'gzip'
  /** A plain body that never ends. */
  | 'endless'
  /** A stream that never ends. */
  | 'endless-stream'
  /** The connection is cut before a head. */
  | 'close-before-head'
  /** Bytes that are no HTTP. */
  | 'not-http';

interface Exchange {
  readonly path: string;
  readonly body: Buffer;
  readonly response: ServerResponse;
}

const MEGABYTE = 1024 * 1024;

/** Answers one request in the given way. */
export function behaveAs(behaviour: Behaviour, { path, body, response }: Exchange): void {
  if (behaviour.kind === 'status') {
    response.writeHead(behaviour.status, { 'content-type': 'application/json', ...behaviour.headers });
    response.end(behaviour.body ?? errorBody(behaviour.status));
    return;
  }
  const asked = readAsked(body);
  if (behaviour.kind === 'answer' && path.includes('/embeddings'))
    sendJson(response, JSON.stringify(embeddingsReply(body, behaviour.encoding)));
  else if (behaviour.kind === 'answer') answer(path, asked, behaviour, response);
  else if (behaviour.kind === 'raw') {
    const whole = path.includes('/embeddings') ? embeddingsReply(body) : chatReply(asked);
    raw({ asked, whole: JSON.stringify(whole) }, behaviour.send, response);
  } else if (behaviour.kind === 'drip') drip(asked, behaviour, response);
  else MISBEHAVIOURS[behaviour.kind](asked, response);
}

function answer(path: string, asked: Asked, wanted: Answer, response: ServerResponse): void {
  if (path.endsWith('/models')) sendJson(response, JSON.stringify(MODELS));
  else if (!path.includes('/chat/completions')) sendJson(response, errorBody(404), 404);
  else if (asked.stream) {
    streamHead(response);
    const events = chatStream(asked, wanted);
    for (const event of isAzure(path) ? azureStream(events) : events) response.write(event);
    response.end();
  } else {
    const reply = chatReply(asked, wanted);
    sendJson(response, JSON.stringify(isAzure(path) ? azureReply(reply) : reply));
  }
}

// Azure's paths tell which protocol is spoken.
function isAzure(path: string): boolean {
  return path.startsWith('/openai/');
}

function raw(
  { asked, whole }: { asked: Asked; whole: string },
  send: (wire: Wire) => void,
  { socket }: ServerResponse,
): void {
  if (socket === null) return;
  // The server would keep its half while no answer of its own has ended.
  socket.once('end', () => socket.destroy());
  send({ socket, stream: asked.stream, whole, events: chatStream(asked) });
}

function drip(asked: Asked, wanted: Answer & { readonly everyMs: number }, response: ServerResponse): void {
  const { everyMs } = wanted;
  if (!asked.stream) {
    const whole = setTimeout(() => sendJson(response, JSON.stringify(chatReply(asked, wanted))), 4 * everyMs);
    response.on('close', () => clearTimeout(whole));
    return;
  }
  streamHead(response);
  const rest = [...chatStream(asked, wanted)];
  const timer = setInterval(() => {
    const event = rest.shift();
    if (event !== undefined) response.write(event);
    else {
      clearInterval(timer);
      response.end();
    }
  }, everyMs);
  response.on('close', () => clearInterval(timer));
}

const MISBEHAVIOURS: Readonly<Record<Misbehaviour, (asked: Asked, response: ServerResponse) => void>> = {
  garbage: (_, response) => sendJson(response, '\u0000\u0001 this is not JSON {{{'),
  'wrong-shape': (_, response) => sendJson(response, '{"hello":["world"]}'),
  'wrong-type': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html><body>maintenance</body></html>');
  },
  'half-json': (asked, response) => sendJson(response, half(JSON.stringify(chatReply(asked)))),
  'short-body': (asked, response) => {
    const text = JSON.stringify(chatReply(asked));
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.write(half(text), () => response.destroy());
  },
  'half-stream': (asked, response) => {
    streamHead(response);
    response.write(halfOf(chatStream(asked)), () => response.destroy());
  },
  'no-done': (asked, response) => {
    streamHead(response);
    response.end(chatStream(asked).slice(0, -1).join(''));
  },
  'garbage-stream': (asked, response) => {
    streamHead(response);
    const events = [...chatStream(asked)];
    events.splice(2, 0, 'data: {"choices": [[[\n\n');
    response.end(events.join(''));
  },
  'error-event': (asked, response) => {
    streamHead(response);
    response.end(`${halfOf(chatStream(asked))}data: ${errorBody(500)}\n\ndata: [DONE]\n\n`);
  },
  silence: () => {},
  'silence-inside': (asked, response) => {
    streamHead(response);
    response.write(halfOf(chatStream(asked)));
  },
  'huge-headers': (_, response) => {
    response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n`);
    for (let i = 0; i < 64; i++) response.socket?.write(`x-filler-${i}: ${'a'.repeat(MEGABYTE / 64)}\r\n`);
    response.socket?.end('\r\n{}');
  },
  gzip: (asked, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    response.end(gzipSync(JSON.stringify(chatReply(asked))));
  },
  endless: (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    pour(response, `{"id":"${'a'.repeat(64 * 1024)}`);
  },
  'endless-stream': (asked, response) => {
    streamHead(response);
    const [, piece = ''] = chatStream(asked);
    pour(response, piece.repeat(64));
  },
  'close-before-head': (_, response) => void response.destroy(),
  'not-http': (_, response) => void response.socket?.end('220 mail.example ESMTP\r\n'),
};

// Ends when the client goes: its side of the connection is the only bound.
function pour(response: ServerResponse, piece: string): void {
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
    if (!response.destroyed) response.once('drain', more);
  };
  more();
}

function sendJson(response: ServerResponse, text: string, status = 200): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

function streamHead(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
}

function errorBody(status: number): string {
  return JSON.stringify({
    error: { message: `scripted status ${status}`, type: 'server_error', param: null, code: 'scripted' },
  });
}

function half(text: string): string {
  return text.slice(0, Math.ceil(text.length / 2));
}

function halfOf(events: readonly string[]): string {
  return events.slice(0, Math.ceil(events.length / 2)).join('');
}
