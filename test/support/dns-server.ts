import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A name server on loopback that answers as scripted and remembers every question. */
export interface DnsServer extends AsyncDisposable {
  /** `address:port`. */
  readonly server: string;
  /** `<type> <name>` in the order asked. */
  readonly questions: string[];
}

type Script = (name: string, type: 'A' | 'AAAA') => readonly string[];

export async function dnsServer(script: Script): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const questions: string[] = [];
  socket.on('message', (message, from) => {
    const { name, type, end } = question(message);
    questions.push(`${type} ${name}`);
    socket.send(reply(message.subarray(0, end), script(name, type)), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    questions,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

// RFC 1035 section 4.1.2.
function question(message: Buffer): { name: string; type: 'A' | 'AAAA'; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let size = message.readUInt8(at); size > 0; size = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + size));
    at += 1 + size;
  }
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1) === 28 ? 'AAAA' : 'A', end: at + 5 };
}

function reply(head: Buffer, addresses: readonly string[]): Buffer {
  const header = Buffer.from(head);
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, ...addresses.map(record)]);
}

// The name is a pointer to the question; the time to live is zero, so that every connection asks again.
function record(address: string): Buffer {
  const data = address.includes(':') ? ipv6(address) : Buffer.from(address.split('.').map(Number));
  const fixed = Buffer.from('c00c00000001000000000000', 'hex');
  fixed.writeUInt16BE(address.includes(':') ? 28 : 1, 2);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

// Eight groups, written out.
function ipv6(address: string): Buffer {
  return Buffer.from(
    address.split(':').flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]),
  );
}
