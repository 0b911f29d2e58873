import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { PerformanceObserver } from 'node:perf_hooks';
import type { PerformanceEntry } from 'node:perf_hooks';

/** Something in the process reached out beside the egress room. */
export interface Trip {
  readonly kind: 'socket' | 'datagram' | 'name';
  /** The name that was asked for; null for sockets, which are cut before they say where they go. */
  readonly name: string | null;
  /** Where in the code it happened; empty for names, which are noticed afterwards. */
  readonly stack: string;
}

export interface TripwireOptions {
  /** True for sockets that the egress room opened. */
  owns(socket: object): boolean;
  onTrip(trip: Trip): void;
}

/**
 * Notices outbound sockets of the process that the egress room did not open, destroys them before they can write, and
 * reports them; look-ups through the system's resolver are reported. A net under the lint rule, for libraries.
 */
export function installTripwire(options: TripwireOptions): Disposable {
  const onSocket = (message: unknown): void => trip(message, 'socket', options);
  const onDatagram = (message: unknown): void => trip(message, 'datagram', options);
  // The egress room asks name servers itself, so every getaddrinfo is somebody else's.
  const names = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      if (entry.name === 'lookup') options.onTrip({ kind: 'name', name: hostOf(entry), stack: '' });
  });
  subscribe('net.client.socket', onSocket);
  subscribe('udp.socket', onDatagram);
  names.observe({ entryTypes: ['dns'] });
  return {
    [Symbol.dispose]() {
      unsubscribe('net.client.socket', onSocket);
      unsubscribe('udp.socket', onDatagram);
      names.disconnect();
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

function hostOf(entry: PerformanceEntry): string {
  const detail: unknown = 'detail' in entry ? entry.detail : null;
  if (typeof detail !== 'object' || detail === null || !('hostname' in detail)) return 'unknown';
  return String(detail.hostname);
}
