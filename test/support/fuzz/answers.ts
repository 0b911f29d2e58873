import type { Behaviour, Wire } from '../provider-behaviour.ts';
import { mutateBytes, mutateText } from './mutate.ts';
import type { FuzzRandom } from './random.ts';

/** An answer of a provider that is nearly one: its body, its framing or its pieces are changed, or it just stops. */
export function fuzzAnswer(random: FuzzRandom): Behaviour {
  if (random.chance(0.3)) return { kind: 'answer' };
  return { kind: 'raw', send: (wire) => sendNearly(wire, random) };
}

function sendNearly(wire: Wire, random: FuzzRandom): void {
  const { socket } = wire;
  let body: Buffer = Buffer.from(wire.stream ? wire.events.join('') : wire.whole);
  if (random.chance(0.7)) body = mutateBytes(body, random);
  const type = wire.stream ? 'text/event-stream' : 'application/json';
  const status = random.chance(0.8)
    ? 200
    : random.pick([100, 101, 204, 304, 307, 400, 401, 404, 429, 500, 503, 999]);
  let head = `HTTP/1.1 ${status} x\r\ncontent-type: ${type}\r\nx-words: CNRY\r\n`;
  if (random.chance(0.15)) head = mutateText(head, random);
  socket.on('error', () => {});
  if (random.chance(0.5)) {
    const length = random.chance(0.8) ? body.length : body.length + random.int(20) - 10;
    socket.write(`${head}content-length: ${length}\r\n\r\n`);
    socket.write(body);
  } else {
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    let framed = chunked(body, random);
    if (random.chance(0.2)) framed = mutateBytes(framed, random);
    socket.write(framed);
  }
  if (random.chance(0.6)) socket.end();
  else if (random.chance(0.5)) socket.destroy();
}

function chunked(body: Buffer, random: FuzzRandom): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const piece = body.subarray(at, at + 1 + random.int(random.chance(0.5) ? 3 : 400));
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
    at += piece.length;
  }
  return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')]);
}
