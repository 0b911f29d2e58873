import { deflateSync, gzipSync } from 'node:zlib';
import type { Behaviour, Wire } from './provider-behaviour.ts';

/** What the client gets and what the last outcome says. */
export interface Ending {
  /** The reply's status; 200 for a stream that breaks after it began. */
  readonly status: number;
  /** Null for a good answer. */
  readonly code: string | null;
  readonly outcome: readonly [status: string, code: string | null, http: number | null];
}

/** One way to misbehave, asked plainly and for a stream. */
export interface FaultRow {
  readonly name: string;
  readonly provider: Behaviour;
  readonly plain: Ending;
  readonly streamed: Ending;
}

export const GOOD: Ending = { status: 200, code: null, outcome: ['ok', null, 200] };
export const GARBAGE: Ending = {
  status: 502,
  code: 'provider_error',
  outcome: ['provider-error', 'provider_error', 200],
};
export const HEADLESS_GARBAGE: Ending = { ...GARBAGE, outcome: ['provider-error', 'provider_error', null] };
export const NONE_ANSWERED: Ending = {
  status: 503,
  code: 'no_eligible_endpoint',
  outcome: ['interrupted', 'no_eligible_endpoint', null],
};
export const BROKEN_STREAM: Ending = {
  status: 200,
  code: 'upstream_interrupted',
  outcome: ['interrupted', 'upstream_interrupted', 200],
};
/** The answer stopped before anything of it was passed on. */
export const STOPPED: Ending = { ...GARBAGE, outcome: ['interrupted', 'provider_error', 200] };
const REDIRECTED: Ending = {
  status: 502,
  code: 'egress_denied',
  outcome: ['refused', 'redirect', null],
};

const KIBIBYTE = 1024;
const MEBIBYTE = KIBIBYTE * KIBIBYTE;
const NEVER_PLACE = 'http://127.0.0.1:9/';
const BOMB = gzipSync(Buffer.alloc(16 * MEBIBYTE));
/** What no reply may repeat. */
const SAYS = 'CNRY';

function refused(status: number): Ending {
  const passed = status >= 400 && status < 500;
  return {
    status: passed ? status : 502,
    code: 'provider_error',
    outcome: ['provider-error', 'provider_error', status],
  };
}

function status(code: number, headers: Readonly<Record<string, string>> = {}): FaultRow {
  const bodiless = code === 204 || code === 304;
  const ending = code >= 300 && code < 400 ? REDIRECTED : refused(code);
  const hint = Object.keys(headers).filter((name) => name !== 'location');
  return {
    name: [`status ${code}`, ...hint].join(' with '),
    provider: { kind: 'status', status: code, headers, ...(bodiless ? {} : { body: SAYS }) },
    plain: ending,
    streamed: ending,
  };
}

function row(
  name: string,
  endings: Ending | readonly [plain: Ending, streamed: Ending],
  send: (wire: Wire) => void,
): FaultRow {
  const [plain, streamed] = 'status' in endings ? [endings, endings] : endings;
  return { name, provider: { kind: 'raw', send }, plain, streamed };
}

function typeOf({ stream }: Wire): string {
  return stream ? 'text/event-stream' : 'application/json';
}

/** The head of a good answer, in chunks, after which the connection closes. */
function head(wire: Wire, ...more: readonly string[]): string {
  const lines = [`content-type: ${typeOf(wire)}`, 'transfer-encoding: chunked', 'connection: close', ...more];
  return `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function piece(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

const LAST = '0\r\n\r\n';

/** The good answer in one text. */
function good({ stream, whole, events }: Wire): string {
  return stream ? events.join('') : whole;
}

/** What a good answer begins with: half of a plain one, or two events. */
function begun({ stream, whole, events }: Wire): string {
  return stream ? events.slice(0, 2).join('') : whole.slice(0, whole.length / 2);
}

/** A body, well framed. */
function body(wire: Wire, content: string | Buffer): void {
  wire.socket.end(Buffer.concat([Buffer.from(head(wire)), piece(content), Buffer.from(LAST)]));
}

/** A good head with something done to it, and a good body of a stated length. */
function headed(wire: Wire, ...lines: readonly string[]): void {
  const content = good(wire);
  const all = ['HTTP/1.1 200 OK', ...lines, `content-length: ${Buffer.byteLength(content)}`];
  wire.socket.end(`${all.join('\r\n')}\r\n\r\n${content}`);
}

function changed(wire: Wire, from: RegExp, to: string): void {
  body(wire, good(wire).replaceAll(from, to));
}

/** Writes `text` byte by byte or line by line, and goes on until the other side leaves. */
function drip(wire: Wire, { every, next }: { every: number; next: () => string | null }): void {
  const timer = setInterval(() => {
    const text = next();
    if (text !== null) wire.socket.write(text);
    else {
      clearInterval(timer);
      wire.socket.end();
    }
  }, every);
  wire.socket.once('close', () => clearInterval(timer));
}

function slowly(text: string, parts: number): () => string | null {
  const size = Math.ceil(text.length / parts);
  let at = 0;
  return () => (at >= text.length ? null : text.slice(at, (at += size)));
}

const STATUSES: readonly FaultRow[] = [
  ...[201, 202, 204, 206].map((code) => status(code)),
  ...[301, 302, 303, 307, 308].map((code) => status(code, { location: NEVER_PLACE })),
  status(304),
  ...[400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 418, 422, 429, 451].map((code) => status(code)),
  status(429, { 'retry-after': '1' }),
  status(429, { 'retry-after-ms': '50' }),
  status(429, { 'retry-after': 'Fri, 27 Nov 2099 00:00:00 GMT' }),
  status(429, { 'retry-after': 'whenever' }),
  ...[500, 501, 502, 503, 504, 520, 599].map((code) => status(code)),
  status(503, { 'retry-after': '1' }),
  status(500, { 'x-should-retry': 'false' }),
];

const CONNECTIONS: readonly FaultRow[] = [
  row('a reset before the head', NONE_ANSWERED, ({ socket }) => void socket.resetAndDestroy()),
  row('an end before the head', NONE_ANSWERED, ({ socket }) => void socket.end()),
  row(
    'an end in the middle of the head',
    NONE_ANSWERED,
    ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\ncon'),
  ),
  row('a head a byte at a time, without end', NONE_ANSWERED, (wire) =>
    drip(wire, { every: 200, next: slowly('HTTP/1.1 200 OK\r\n'.padEnd(500, 'x-filler'), 500) }),
  ),
  row('a reset after the head', STOPPED, (wire) => {
    wire.socket.write(head(wire), () => setTimeout(() => wire.socket.resetAndDestroy(), 50));
  }),
  row('an end after the head', STOPPED, (wire) => void wire.socket.end(head(wire))),
  row('a reset in the body', [STOPPED, BROKEN_STREAM], (wire) => {
    wire.socket.write(`${head(wire)}${piece(begun(wire)).toString()}`, () =>
      setTimeout(() => wire.socket.resetAndDestroy(), 50),
    );
  }),
  row(
    'an end inside a chunk',
    [STOPPED, BROKEN_STREAM],
    (wire) => void wire.socket.end(`${head(wire)}${piece(begun(wire)).toString()}ff\r\ndata`),
  ),
  row(
    'silence in the body',
    [STOPPED, BROKEN_STREAM],
    (wire) => void wire.socket.write(`${head(wire)}${piece(begun(wire)).toString()}`),
  ),
  row('a slow body that comes to its end', GOOD, (wire) =>
    drip(wire, { every: 40, next: slowly(`${head(wire)}${piece(good(wire)).toString()}${LAST}`, 20) }),
  ),
  row('an answer and at once the end of the connection', GOOD, (wire) =>
    headed(wire, `content-type: ${typeOf(wire)}`),
  ),
];

const HEADS: readonly FaultRow[] = [
  row('early hints, then the answer', GOOD, (wire) => {
    wire.socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(3));
    body(wire, good(wire));
  }),
  row('interim answers without end', HEADLESS_GARBAGE, (wire) =>
    drip(wire, { every: 20, next: () => 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n' }),
  ),
  row('an interim answer nobody asked for', NONE_ANSWERED, (wire) => {
    wire.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    body(wire, good(wire));
  }),
  row(
    'another protocol',
    NONE_ANSWERED,
    ({ socket }) =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  ),
  row('two lengths', HEADLESS_GARBAGE, (wire) =>
    headed(wire, `content-type: ${typeOf(wire)}`, 'content-length: 5'),
  ),
  row('a length beside chunks', HEADLESS_GARBAGE, (wire) =>
    headed(wire, `content-type: ${typeOf(wire)}`, 'transfer-encoding: chunked'),
  ),
  row(
    'a length below zero',
    HEADLESS_GARBAGE,
    ({ socket }) =>
      void socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n{}'),
  ),
  row(
    'neither a length nor chunks',
    HEADLESS_GARBAGE,
    (wire) => void wire.socket.end(`HTTP/1.1 200 OK\r\ncontent-type: ${typeOf(wire)}\r\n\r\n${good(wire)}`),
  ),
  row(
    'a transfer coding of its own',
    HEADLESS_GARBAGE,
    (wire) =>
      void wire.socket.end(
        `HTTP/1.1 200 OK\r\ncontent-type: ${typeOf(wire)}\r\ntransfer-encoding: gzip, chunked\r\n\r\n${LAST}`,
      ),
  ),
  row('a status that is none', HEADLESS_GARBAGE, ({ socket }) => void socket.end('HTTP/1.1 2000 OK\r\n\r\n')),
  row('a header without a colon', HEADLESS_GARBAGE, (wire) => headed(wire, 'no colon here')),
  row('a NUL in a header', HEADLESS_GARBAGE, (wire) => headed(wire, 'x-nul: a\0b')),
  row('many headers', HEADLESS_GARBAGE, (wire) =>
    headed(wire, ...Array.from({ length: 2000 }, (_, i) => `x-${i}: ${'a'.repeat(20)}`)),
  ),
  row('no content type', GARBAGE, (wire) => headed(wire)),
  row('two content types', GARBAGE, (wire) =>
    headed(wire, `content-type: ${typeOf(wire)}`, 'content-type: text/html'),
  ),
  row('the other content type', GARBAGE, (wire) =>
    headed(wire, `content-type: ${typeOf({ ...wire, stream: !wire.stream })}`),
  ),
  row('HTTP/1.0', GOOD, (wire) => {
    const content = good(wire);
    const length = Buffer.byteLength(content);
    wire.socket.end(
      `HTTP/1.0 200 OK\r\ncontent-type: ${typeOf(wire)}\r\ncontent-length: ${length}\r\n\r\n${content}`,
    );
  }),
  ...['gzip', 'deflate', 'br', 'zstd', 'x-own', 'gzip, gzip'].map((coding) =>
    row(`the content coding ${coding}`, HEADLESS_GARBAGE, (wire) => {
      wire.socket.write(head(wire, `content-encoding: ${coding}`));
      const squeeze = coding === 'deflate' ? deflateSync : gzipSync;
      wire.socket.end(Buffer.concat([piece(squeeze(good(wire))), Buffer.from(LAST)]));
    }),
  ),
  row('a gzip bomb', HEADLESS_GARBAGE, (wire) => {
    wire.socket.write(head(wire, 'content-encoding: gzip'));
    wire.socket.end(Buffer.concat([piece(BOMB), Buffer.from(LAST)]));
  }),
];

const BODIES: readonly FaultRow[] = [
  row('an empty body', GARBAGE, (wire) => void wire.socket.end(`${head(wire)}${LAST}`)),
  row('white space', GARBAGE, (wire) => body(wire, ' \n\n\n ')),
  row(
    'a chunk size that is none',
    [GARBAGE, BROKEN_STREAM],
    (wire) => void wire.socket.end(`${head(wire)}${piece(begun(wire)).toString()}zz\r\n`),
  ),
  row(
    'a chunk size beyond all',
    [GARBAGE, BROKEN_STREAM],
    (wire) => void wire.socket.end(`${head(wire)}${piece(begun(wire)).toString()}ffffffffffffffffff\r\n`),
  ),
  row('bytes after the end', GOOD, (wire) => {
    const content = good(wire);
    const length = `content-length: ${Buffer.byteLength(content)}`;
    wire.socket.end(`HTTP/1.1 200 OK\r\ncontent-type: ${typeOf(wire)}\r\n${length}\r\n\r\n${content}${SAYS}`);
  }),
  row('another answer after the end', GOOD, (wire) => {
    const content = good(wire);
    const one = `HTTP/1.1 200 OK\r\ncontent-type: ${typeOf(wire)}\r\ncontent-length: ${Buffer.byteLength(content)}\r\n\r\n${content}`;
    wire.socket.end(`${one}${one.replaceAll('scripted', SAYS)}`);
  }),
  row('an error with status 200', GARBAGE, (wire) => {
    const error = JSON.stringify({ error: { message: SAYS, type: 'server_error', param: null, code: null } });
    body(wire, wire.stream ? `data: ${error}\n\ndata: [DONE]\n\n` : error);
  }),
  row('null', GARBAGE, (wire) => body(wire, wire.stream ? 'data: null\n\n' : 'null')),
  row('a list', GARBAGE, (wire) => body(wire, wire.stream ? 'data: []\n\n' : '[]')),
  row('a body twice', [GARBAGE, GOOD], (wire) => body(wire, good(wire).repeat(2))),
];

/** What is wrong with a completion alone. */
const COMPLETIONS: readonly FaultRow[] = [
  row('no choices', GARBAGE, (wire) => changed(wire, /"choices"/g, '"options"')),
  row('choices that are no list', GARBAGE, (wire) => changed(wire, /"choices":\[/g, '"choices":7,"x":[')),
  row('bytes that are no UTF-8', GARBAGE, (wire) => {
    const text = good(wire).replaceAll('"scripted"', '"?"').replaceAll('chatcmpl-', '\u0000');
    const bytes = Buffer.from(text.replaceAll('\u0000', '@'));
    bytes[bytes.indexOf('@')] = 0xff;
    body(wire, bytes);
  }),
  row('a NUL', GARBAGE, (wire) => changed(wire, /chatcmpl-/g, 'chat\0')),
  row('choices without one', GOOD, (wire) => {
    if (wire.stream) body(wire, `data: {"choices":[]}\n\n${good(wire)}`);
    else body(wire, wire.whole.replace(/"choices":\[.*\],"usage"/, '"choices":[],"usage"'));
  }),
  row('no usage', GOOD, (wire) => changed(wire, /,"usage":\{[^}]*\}/g, '')),
  row('a usage below zero', GOOD, (wire) => changed(wire, /"total_tokens":\d+/g, '"total_tokens":-5')),
  row('an id that is a number', GOOD, (wire) => changed(wire, /"id":"[^"]*"/g, '"id":7')),
];

/** What a provider may do to a stream; asked plainly, a stream is garbage. */
const STREAMS: readonly FaultRow[] = (
  [
    ['the end alone', GARBAGE, () => 'data: [DONE]\n\n'],
    ['comments alone', GARBAGE, () => ': wait\n\n: wait\n\n'],
    ['an event that is no JSON, first', GARBAGE, ({ events }) => `data: {{\n\n${events.join('')}`],
    ['half an event at the end', BROKEN_STREAM, ({ events }) => `${events.slice(0, 2).join('')}data: {"cho`],
    ['an end without its blank line', BROKEN_STREAM, ({ events }) => events.join('').slice(0, -1)],
    [
      'an error in the middle',
      BROKEN_STREAM,
      ({ events }) => `${events[0]}data: {"error":{"message":"${SAYS}"}}\n\n`,
    ],
    ['a NUL in the middle', BROKEN_STREAM, ({ events }) => `${events[0]}data: {"choices":[]\0}\n\n`],
    [
      'an event named error',
      BROKEN_STREAM,
      ({ events }) => `${events[0]}event: error\ndata: {"message":"${SAYS}"}\n\n`,
    ],
    ['an event of 5 MiB', GARBAGE, () => `data: "${'a'.repeat(5 * MEBIBYTE)}`],
    [
      'an event of 5 MiB in the middle',
      BROKEN_STREAM,
      ({ events }) => `${events[0]}data: "${'a'.repeat(5 * MEBIBYTE)}`,
    ],
    ['data after the end', GOOD, ({ events }) => `${events.join('')}data: {"choices":[],"x":"${SAYS}"}\n\n`],
    ['the end twice', GOOD, ({ events }) => `${events.join('')}data: [DONE]\n\n`],
    ['lines that end with CRLF', GOOD, ({ events }) => events.join('').replaceAll('\n', '\r\n')],
    ['comments between', GOOD, ({ events }) => events.join(': wait\n\n')],
  ] as const satisfies readonly (readonly [string, Ending, (wire: Wire) => string])[]
).map(([name, streamed, text]) =>
  row(`a stream of ${name}`, [GARBAGE, streamed], (wire) => {
    const content = text(wire);
    wire.socket.end(
      Buffer.concat([Buffer.from(head({ ...wire, stream: true })), piece(content), Buffer.from(LAST)]),
    );
  }),
);

/** What a provider may do wrong whatever it is asked; embeddings have no stream. */
export const COMMON_ROWS: readonly FaultRow[] = [...STATUSES, ...CONNECTIONS, ...HEADS, ...BODIES];

/** What a provider of completions may do wrong, with what has to come of it. */
export const FAULT_ROWS: readonly FaultRow[] = [...COMMON_ROWS, ...COMPLETIONS, ...STREAMS];
