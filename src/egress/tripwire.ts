import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { isIP } from 'node:net';

/** Something in the process reached out beside the egress room. */
export interface Trip {
  readonly kind: 'socket' | 'datagram' | 'name';
  /** The name that was asked for; null for sockets, which are cut before they say where they go. */
  readonly name: string | null;
  /** Where in the code it happened. */
  readonly stack: string;
}

export interface TripwireOptions {
  /** True for sockets that the egress room opened. */
  owns(socket: object): boolean;
  onTrip(trip: Trip): void;
}

/**
 * Notices outbound sockets of the process that the egress room did not open, destroys them before they can write, and
 * reports them; look-ups through the system's resolver are reported, answered or not. A net under the lint rule, for
 * libraries.
 */
export function installTripwire(options: TripwireOptions): Disposable {
  const onSocket = (message: unknown): void => trip(message, 'socket', options);
  const onDatagram = (message: unknown): void => trip(message, 'datagram', options);
  const names = watchNames((name) => {
    options.onTrip({ kind: 'name', name, stack: new Error('look-up').stack ?? '' });
  });
  subscribe('net.client.socket', onSocket);
  subscribe('udp.socket', onDatagram);
  return {
    [Symbol.dispose]() {
      unsubscribe('net.client.socket', onSocket);
      unsubscribe('udp.socket', onDatagram);
      names[Symbol.dispose]();
    },
  };
}

function trip(message: unknown, kind: 'socket' | 'datagram', options: TripwireOptions): void {
  const socket = publishedSocket(message);
  if (socket === null || (kind === 'socket' && options.owns(socket))) return;
  const { stack = '' } = new Error('outbound socket');
  // The socket connects right after this call, and connecting would revive one that is destroyed now.
  process.nextTick(() => {
    end(socket);
    options.onTrip({ kind, name: null, stack });
  });
}

interface Endable {
  destroy?: (error: Error) => unknown;
  close?: () => unknown;
}

function publishedSocket(message: unknown): Endable | null {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return null;
  return typeof message.socket === 'object' ? message.socket : null;
}

function end(socket: Endable): void {
  const error = new Error('outbound sockets are opened by the egress room only');
  if (socket.destroy !== undefined) {
    socket.destroy(error);
    return;
  }
  try {
    socket.close?.();
  } catch {
    // Closed by its owner already.
  }
}

// The egress room asks name servers itself, so every getaddrinfo is somebody else's. The runtime's own measure of
// look-ups leaves out those that fail, whose question has left all the same.
function watchNames(asked: (name: string) => void): Disposable {
  const told = <F extends (...args: never[]) => unknown>(lookup: F): F =>
    new Proxy(lookup, {
      apply(target, self, args: unknown[]) {
        // Listening looks up its own address too, which asks nobody.
        if (typeof args[0] === 'string' && !isIP(args[0])) asked(args[0]);
        return Reflect.apply(target, self, args);
      },
    });
  const { lookup } = dns;
  const { lookup: promised } = dns.promises;
  dns.lookup = told(lookup);
  dns.promises.lookup = told(promised);
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]() {
      dns.lookup = lookup;
      dns.promises.lookup = promised;
      syncBuiltinESMExports();
    },
  };
}
