import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import type { Identity } from './certificates.ts';

/** A server on loopback that counts its connections and the bytes it was sent. */
export interface FarSide extends AsyncDisposable {
  readonly port: number;
  readonly sockets: Set<Socket>;
  connections(): number;
  bytes(): number;
}

export interface Place {
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly identity: Identity; readonly chain?: readonly Identity[] };
}

/** Speaks HTTP, over TLS if asked. */
export function httpSide(listener: RequestListener, place: Place = {}): Promise<FarSide> {
  const { tls } = place;
  const chain = [tls?.identity, ...(tls?.chain ?? [])].map((one) => one?.cert ?? '').join('');
  const server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer({ cert: chain, key: tls.identity.key }, listener);
  server.keepAliveTimeout = 60_000;
  return listening(server, place);
}

/** Hands each connection over as it comes. */
export function tcpSide(onSocket: (socket: Socket) => void, place: Place = {}): Promise<FarSide> {
  return listening(createTcpServer(onSocket), place);
}

async function listening(server: Server, place: Place): Promise<FarSide> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let closedBytes = 0;
  server.on('connection', (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      closedBytes += socket.bytesRead;
      sockets.delete(socket);
    });
  });
  server.listen(place.port ?? 0, place.host ?? '127.0.0.1');
  await once(server, 'listening');
  return {
    // A TCP server that listens has an address and a port.
    port: (server.address() as AddressInfo).port,
    sockets,
    connections: () => connections,
    bytes: () => [...sockets].reduce((sum, socket) => sum + socket.bytesRead, closedBytes),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
