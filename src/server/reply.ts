import { SECOND } from '../core/duration.ts';
import type { Reply } from '../gateway/exchange.ts';
import type { HttpRequest, HttpResponse } from './listen.ts';

/** How long a client that sends too much may still read our answer. */
const LINGER = 2 * SECOND;
/** What is left of a request that was answered early; more is not read. */
const MAX_UNREAD_BYTES = 64 * 1024;
/** A long answer is handed over in pieces of this size, so that a slow client shows that it still reads. */
const PIECE_BYTES = 64 * 1024;

/** The reply of one request; a client that takes nothing of it for `stallMs` is cut off. */
export function replyOf(request: HttpRequest, response: HttpResponse, stallMs: number): Reply {
  const waitForClient = stallGuard(request, response, stallMs);
  return {
    begun: () => response.headersSent,
    head(status, headers) {
      if (response.headersSent) return;
      response.writeHead(
        status,
        leavesUnread(request) ? { ...headers, connection: 'close' } : { ...headers },
      );
    },
    write(bytes) {
      const flowing = response.write(bytes);
      if (!flowing) waitForClient();
      return flowing;
    },
    end(bytes) {
      // HEAD is answered as GET, without the body: Node leaves it out by itself.
      if (bytes === undefined) response.end();
      else if (leavesUnread(request)) endUnread(request, response, bytes);
      else endInPieces(response, bytes, waitForClient);
      if (!response.writableFinished) waitForClient();
    },
    onDrain: (resume) => response.once('drain', resume),
    onGone(gone) {
      const left = (): void => {
        if (!response.writableFinished) gone();
      };
      if (request.socket.destroyed) left();
      else response.once('close', left);
    },
    cut: () => request.socket.destroy(),
  };
}

// A client that stops reading would otherwise keep its provider's connection for as long as it likes.
function stallGuard(request: HttpRequest, response: HttpResponse, ms: number): () => void {
  let timer: NodeJS.Timeout | null = null;
  const clear = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
  };
  const arm = (): void => {
    // A reply that waits behind an earlier one on its connection has no socket yet, and is not the one that stalls.
    // A client that is gone stalls nobody, and nothing would clear its timer, which would keep the process from ending.
    if (response.socket !== null && !request.socket.destroyed)
      timer ??= setTimeout(() => request.socket.destroy(), ms);
  };
  response.on('drain', clear);
  response.once('finish', clear);
  response.once('close', clear);
  response.on('socket', () => {
    if (response.writableNeedDrain) arm();
  });
  return arm;
}

// What is left of a request that was answered early is read only when it is short; else the connection must go.
function leavesUnread(request: HttpRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  const bytes = Number(length ?? (coding === undefined ? 0 : Number.POSITIVE_INFINITY));
  return !request.complete && bytes > MAX_UNREAD_BYTES;
}

// The reply has its length, so the client can take it whole while it is still writing. Ending the response now would
// close the socket over unread bytes, and the reset that follows can overtake the reply.
function endUnread(request: HttpRequest, response: HttpResponse, bytes: Uint8Array): void {
  request.pause();
  response.write(bytes);
  const close = setTimeout(() => request.socket.destroy(), LINGER);
  request.socket.once('close', () => clearTimeout(close));
}

function endInPieces(response: HttpResponse, bytes: Uint8Array, waitForClient: () => void): void {
  let at = 0;
  const next = (): void => {
    while (bytes.length - at > PIECE_BYTES) {
      const flowing = response.write(bytes.subarray(at, (at += PIECE_BYTES)));
      if (flowing) continue;
      response.once('drain', next);
      waitForClient();
      return;
    }
    response.end(bytes.subarray(at));
    if (!response.writableFinished) waitForClient();
  };
  next();
}
