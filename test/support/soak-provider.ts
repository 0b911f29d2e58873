import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { behaveAs, type Misbehaviour } from './provider-behaviour.ts';

/*
 * The provider of a soak, in a process of its own: it keeps nothing of what it was asked, and misbehaves as the prompt
 * says (`soak:KIND`). `GET /open` tells how many connections it has.
 */

const KIND = /soak:([a-z0-9-]+)/;
const DRIP = { kind: 'drip', everyMs: 20, pieces: 50 } as const;

const sockets = new Set<Socket>();
const server = createServer((request, response) => {
  const path = request.url ?? '';
  if (path === '/open') return void response.end(String(sockets.size));
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    behaveAs(behaviourOf(KIND.exec(body.toString())?.[1] ?? 'answer'), { path, body, response });
  });
});
server.on('connection', (socket: Socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  // A server that listens on TCP has an AddressInfo; only pipes have a string.
  process.send?.((server.address() as AddressInfo).port);
});
process.on('disconnect', () => process.exit());

function behaviourOf(kind: string): Parameters<typeof behaveAs>[0] {
  if (kind === 'answer') return { kind };
  if (kind === 'drip') return DRIP;
  if (/^\d+$/.test(kind)) return { kind: 'status', status: Number(kind) };
  // The soak sends no other words; one that is none fails loudly in behaveAs.
  return { kind: kind as Misbehaviour };
}
