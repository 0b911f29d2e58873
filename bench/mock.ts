import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/*
 * The provider of a measurement, in a process of its own: it answers at once and does nothing else. The model `slow`
 * takes 60 ms first; `endless` streams until its client leaves; `GET /left` then gives the moment, in nanoseconds of the
 * machine's monotonic clock.
 */

const CHUNKS = 50;
const SLOW_MS = 60;
const ENDLESS_EVERY_MS = 5;
// Each gateway writes JSON in its own way.
const SLOW = /"model":\s*"slow"/;
const STREAMED = /"stream":\s*true/;
const WORDS = 'A checkpoint on the road lets through what may pass. ';

const REPLY = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 0,
    model: 'fast',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: WORDS.repeat(15), refusal: null },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 100, completion_tokens: 100, total_tokens: 200 },
  }),
);
const PIECE = Buffer.from(`data: ${JSON.stringify(chunk({ content: 'word ' }, null))}\n\n`);
const LAST = Buffer.from(`data: ${JSON.stringify(chunk({}, 'stop'))}\n\ndata: [DONE]\n\n`);
const STREAM_HEAD = { 'content-type': 'text/event-stream' };

const left: bigint[] = [];
const waiting: ((at: bigint) => void)[] = [];

const server = createServer((request, response) => {
  if (request.method === 'GET') tellLeft(response);
  else readThen(request, (body) => answer(body, response));
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  // A server that listens on TCP has an AddressInfo; only pipes have a string.
  process.send?.((server.address() as AddressInfo).port);
});
process.on('disconnect', () => process.exit());

function readThen(request: IncomingMessage, then: (body: Buffer) => void): void {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => then(Buffer.concat(pieces)));
}

function answer(body: Buffer, response: ServerResponse): void {
  if (body.includes('"model":"endless"')) streamForever(response);
  else if (SLOW.test(body.toString())) setTimeout(() => reply(body, response), SLOW_MS);
  else reply(body, response);
}

function reply(body: Buffer, response: ServerResponse): void {
  if (STREAMED.test(body.toString())) stream(response);
  else {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': REPLY.length });
    response.end(REPLY);
  }
}

function stream(response: ServerResponse): void {
  response.writeHead(200, STREAM_HEAD);
  for (let i = 1; i < CHUNKS; i++) response.write(PIECE);
  response.end(LAST);
}

function streamForever(response: ServerResponse): void {
  response.writeHead(200, STREAM_HEAD);
  const timer = setInterval(() => response.write(PIECE), ENDLESS_EVERY_MS);
  response.on('close', () => {
    clearInterval(timer);
    const at = process.hrtime.bigint();
    const told = waiting.shift();
    if (told === undefined) left.push(at);
    else told(at);
  });
}

function tellLeft(response: ServerResponse): void {
  const tell = (at: bigint): void => void response.end(String(at));
  const at = left.shift();
  if (at === undefined) waiting.push(tell);
  else tell(at);
}

function chunk(delta: Record<string, string>, finish: string | null): Record<string, unknown> {
  return {
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 0,
    model: 'fast',
    choices: [{ index: 0, delta, finish_reason: finish }],
  };
}
