import { Client } from 'undici';
import type { Dispatcher } from 'undici';
import type { Connection } from './connect.ts';
import { unreachable } from './refusal.ts';
import type { Observed } from './types.ts';

/** The longest head of an answer, in bytes. */
const MAX_HEAD_BYTES = 16_384;
/** Below the five seconds after which common inference servers close without a hint; a hint of theirs overrides it. */
const IDLE_MS = 4_000;

/**
 * One connection and the client that speaks HTTP/1.1 over it, one exchange at a time. The client can never connect
 * again, so nothing it still holds when the socket dies can be sent a second time.
 */
export class Lane {
  readonly observed: Observed;
  readonly inside: boolean;
  /** The far side said that it will close after this answer. */
  last = false;
  /** Has carried an exchange to its end. */
  used = false;
  readonly #client: Client;
  readonly #connection: Connection;

  constructor(origin: string, connection: Connection, onClose: (lane: Lane) => void) {
    this.observed = connection.observed;
    this.inside = connection.inside;
    this.#connection = connection;
    this.#client = new Client(origin, {
      connect: connectOnce(connection),
      pipelining: 1,
      maxHeaderSize: MAX_HEAD_BYTES,
      keepAliveTimeout: IDLE_MS,
      // Else an environment variable would choose the parser.
      useMilo: false,
    });
    connection.socket.once('close', () => {
      this.destroy(unreachable('the connection closed'));
      onClose(this);
    });
  }

  get alive(): boolean {
    return !this.#connection.socket.destroyed && !this.last;
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch(options, handler);
  }

  /** Ends the socket; a running exchange fails with the fault. */
  destroy(fault: Error): void {
    this.#connection.socket.destroy();
    this.#client.destroy(fault).catch(() => {
      // The exchange has the fault; the client has nothing to add to it.
    });
  }
}

type Connector = (
  options: unknown,
  callback: (...args: [null, Connection['socket']] | [Error, null]) => void,
) => void;

function connectOnce(connection: Connection): Connector {
  let given = false;
  return (_options, callback) => {
    const fresh = !given && !connection.socket.destroyed;
    given = true;
    // The client expects the answer after its own call has returned.
    queueMicrotask(() => {
      if (fresh) callback(null, connection.socket);
      else callback(unreachable('the connection closed while idle'), null);
    });
  };
}
