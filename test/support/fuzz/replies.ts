import net from 'node:net';

/** What came back on a connection of its own; `null` says that it did not end in time. */
export interface FuzzReply {
  readonly bytes: Buffer;
  readonly ms: number;
}

/** The codes that docs/interface.md's table has for each status from 500 on. */
const SERVER_ERRORS: Readonly<Record<number, readonly string[]>> = {
  502: ['provider_error', 'upstream_interrupted', 'egress_denied'],
  503: ['model_unavailable', 'overloaded', 'no_eligible_endpoint', 'evidence_unavailable'],
};

/** How a client ends: it waits for the whole answer, ends its own side at once, or is gone as soon as it has sent. */
export type Leaving = 'waits' | 'ends' | 'gone';

/** Sends `bytes` on a connection of their own and reads until it ends; null when that takes longer than `ms`. */
export function exchange(
  port: number,
  { bytes, leaving }: { bytes: Buffer; leaving: Leaving },
  ms: number,
): Promise<FuzzReply | null> {
  const began = performance.now();
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = net.connect(port, '127.0.0.1');
    const done = (whole: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(whole ? { bytes: Buffer.concat(pieces), ms: performance.now() - began } : null);
    };
    const timer = setTimeout(() => done(false), ms);
    socket.on('data', (piece: Buffer) => void pieces.push(piece));
    socket.on('close', () => done(true));
    socket.on('error', () => {});
    if (leaving === 'ends') socket.end(bytes);
    else socket.write(bytes, () => leaving === 'gone' && socket.destroy());
    // A request that was cut short is given up, so that nobody waits for its rest; to end it at once is to leave.
    const givenUp = setTimeout(() => socket.end(), ms / 4);
    socket.once('close', () => clearTimeout(givenUp));
  });
}

/** The status, the headers by their names in small letters, and the body after transfer decoding. */
export function readReply({ bytes: all }: FuzzReply): ReadReply | null {
  const bytes = withoutInterim(all);
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.toString('latin1', 0, end === -1 ? 0 : end).split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1];
  if (status === undefined) return null;
  const fields = lines.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1).trim(),
  ]);
  const headers = new Map(fields.map(([name = '', value = '']) => [name, value]));
  const rest = bytes.subarray(end + 4);
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunked(rest) : rest;
  return { status: Number(status), headers, body };
}

export interface ReadReply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** Null when its last chunk did not come. */
  readonly body: Buffer | null;
}

/** What is wrong with a reply by docs/interface.md, in one sentence; null when nothing is. */
export function replyProblem(reply: ReadReply): string | null {
  const { status, body } = reply;
  if (status < 500) return null;
  const codes = SERVER_ERRORS[status];
  const text = body?.toString() ?? '';
  const code = /"code":"([^"]*)"/.exec(text)?.[1];
  // A probe of readiness says 503 in its own form.
  if (status === 503 && text.startsWith('{"status":')) return null;
  if (codes !== undefined && (body === null || body.length === 0 || codes.includes(code ?? ''))) return null;
  return `${status} ${code ?? text.slice(0, 200)}`;
}

// RFC 9110 section 15.2: answers before the answer.
function withoutInterim(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\r\n\r\n');
  return /^HTTP\/1\.1 1\d\d /.test(bytes.toString('latin1', 0, 16)) && end !== -1
    ? withoutInterim(bytes.subarray(end + 4))
    : bytes;
}

function unchunked(bytes: Buffer): Buffer | null {
  const pieces: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, end === -1 ? at : end), 16);
    if (end === -1 || Number.isNaN(length)) return null;
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
