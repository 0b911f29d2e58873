import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A name server on loopback that answers as scripted, with a time to live of zero, and remembers every question. */
export class NameServer implements AsyncDisposable {
  readonly address: string;
  questions: string[] = [];
  /** The addresses of a name; by default there are none. */
  script: (name: string, type: 'A' | 'AAAA') => readonly string[] = () => [];
  readonly #socket = createSocket('udp4');

  constructor(address: string) {
    this.address = address;
    this.#socket.on('error', () => {});
    this.#socket.on('message', (message, from) => {
      const asked = question(message);
      if (asked === null) return;
      this.questions.push(`${asked.type} ${asked.name}`);
      const found = this.script(asked.name, asked.type);
      this.#socket.send(reply(message.subarray(0, asked.end), found), from.port, from.address);
    });
  }

  /** Gives the port, which the system chooses for 0. */
  async listen(port: number): Promise<number> {
    this.#socket.bind(port, this.address);
    await once(this.#socket, 'listening');
    return this.#socket.address().port;
  }

  reset(): void {
    this.questions = [];
    this.script = () => [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

// RFC 1035 section 4.1.2. Whatever asks may be broken: what is no question is passed over.
function question(message: Buffer): { name: string; type: 'A' | 'AAAA'; end: number } | null {
  const labels: string[] = [];
  let at = 12;
  for (let size = message[at] ?? 0; size > 0; size = message[at] ?? 0) {
    if (at + size >= message.length) return null;
    labels.push(message.toString('latin1', at + 1, at + 1 + size));
    at += 1 + size;
  }
  if (at + 5 > message.length) return null;
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1) === 28 ? 'AAAA' : 'A', end: at + 5 };
}

function reply(head: Buffer, addresses: readonly string[]): Buffer {
  const header = Buffer.from(head);
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, ...addresses.map(record)]);
}

// The name is a pointer to the question.
function record(address: string): Buffer {
  const six = address.includes(':');
  const data = six
    ? Buffer.from(address.split(':').flatMap((part) => [parseInt(part, 16) >> 8, parseInt(part, 16) & 0xff]))
    : Buffer.from(address.split('.').map(Number));
  const fixed = Buffer.from('c00c00000001000000000000', 'hex');
  fixed.writeUInt16BE(six ? 28 : 1, 2);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}
