import { Fault } from '../core/fault.ts';
import type { HttpRequest } from './listen.ts';

const FIRST_BYTES = 16 * 1024;

/**
 * The whole body, after transfer decoding.
 * @throws Fault `gateway.request_too_large` beyond `limit` bytes, `server.client_left`.
 */
export function readBody(request: HttpRequest, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const body = new GrowingBody(limit);
  const refuse = (): void => {
    request.removeAllListeners('data');
    request.pause();
    const message = `the body is larger than ${limit} bytes`;
    reject(new Fault('invalid', 'gateway.request_too_large', message));
  };
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    refuse();
    return promise;
  }
  request.on('data', (chunk: Buffer) => {
    if (!body.take(chunk)) refuse();
  });
  request.on('end', () => resolve(body.bytes()));
  request.on('error', (cause) => reject(clientLeft(cause)));
  request.on('close', () => {
    if (!request.complete) reject(clientLeft(null));
  });
  return promise;
}

/**
 * Pieces in one buffer that doubles. Kept as they come, each piece would hold on to a parser's whole buffer, and a
 * sender chooses how small its pieces are.
 */
export class GrowingBody {
  readonly #limit: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False when the piece exceeds the limit; it is then not taken. */
  take(piece: Uint8Array): boolean {
    const length = this.#length + piece.length;
    if (length > this.#limit) return false;
    // Most bodies arrive in one piece, which needs no copy.
    if (this.#length === 0) {
      this.#bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    } else {
      if (length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(piece, this.#length);
    }
    this.#length = length;
    return true;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(needed: number): void {
    const size = Math.max(FIRST_BYTES, needed, Math.min(2 * this.#bytes.length, this.#limit));
    const grown = Buffer.allocUnsafe(size);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function clientLeft(cause: unknown): Fault {
  return new Fault('invalid', 'server.client_left', 'the client left before its request was complete', {
    cause,
  });
}
