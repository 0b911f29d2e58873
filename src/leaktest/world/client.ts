import { request } from 'node:http';
import { request as secureRequest } from 'node:https';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

const TIMEOUT_MS = 30_000;

/** One request to the gateway under test; status 0 stands for a connection that broke or stayed silent. */
export function ask(origin: string, { method, path, headers = {}, body }: Asked): Promise<Reply> {
  return new Promise((resolve) => {
    const gone = (error: Error): void => resolve({ status: 0, headers: {}, text: error.message });
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options = { method, headers: { ...length, ...headers }, timeout: TIMEOUT_MS };
    const send = origin.startsWith('https:') ? secureRequest : request;
    const sent = send(`${origin}${path}`, options, (reply) => {
      const pieces: Buffer[] = [];
      reply.on('data', (piece: Buffer) => pieces.push(piece));
      reply.on('error', gone);
      reply.on('end', () => {
        const flat = Object.entries(reply.headers).map(([name, value]) => [name, String(value)] as const);
        const text = Buffer.concat(pieces).toString('utf8');
        resolve({ status: reply.statusCode ?? 0, headers: Object.fromEntries(flat), text });
      });
    });
    sent.on('error', gone);
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.end(body);
  });
}
