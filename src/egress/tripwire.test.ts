import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import dns from 'node:dns';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { get } from 'node:http';
import { Socket, connect } from 'node:net';
import { test } from 'node:test';
import { TLSSocket, connect as connectTls } from 'node:tls';
import { BUNDLE, egressWithout, network, send } from '../../test/support/egress.ts';
import { httpSide } from '../../test/support/far-side.ts';
import { installTripwire } from './tripwire.ts';
import type { Trip } from './tripwire.ts';

type Reach = (port: number) => Promise<unknown>;

const libraries: Readonly<Record<string, Reach>> = {
  'net.connect that writes at once': (port) => {
    const socket = connect(port, '127.0.0.1');
    socket.write('CANARY');
    return connected(socket);
  },
  'a socket made by hand': (port) => connected(new Socket().connect(port, '127.0.0.1')),
  'tls.connect': (port) => connected(connectTls(port, '127.0.0.1', { rejectUnauthorized: false })),
  'http.get': (port) => once(get({ port, host: '127.0.0.1', path: '/CANARY' }), 'response'),
  fetch: (port) => fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'CANARY' }),
};

async function connected(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  await once(socket, socket instanceof TLSSocket ? 'secureConnect' : 'connect');
}

for (const [name, reach] of Object.entries(libraries)) {
  test(`${name} is cut before a byte leaves, and reported`, async () => {
    await using side = await httpSide((_, reply) => reply.end('{}'));
    const trips: Trip[] = [];
    {
      using _ = installTripwire({ owns: () => false, onTrip: (trip) => trips.push(trip) });
      await assert.rejects(reach(side.port));
    }
    assert.equal(side.bytes(), 0);
    const [trip] = trips.filter(({ kind }) => kind === 'socket');
    assert.match(trip?.stack ?? '', /outbound socket/);
    if (name === 'tls.connect') return;
    await reach(side.port);
    assert.ok(side.connections() > 0, 'without the tripwire it gets through');
  });
}

test('a datagram socket is closed before it sends, and reported', async () => {
  const sink = createSocket('udp4');
  let received = 0;
  sink.on('message', () => received++);
  sink.bind(0, '127.0.0.1');
  await once(sink, 'listening');
  const { port } = sink.address();
  const trips: Trip[] = [];
  {
    using _ = installTripwire({ owns: () => false, onTrip: (trip) => trips.push(trip) });
    const socket = createSocket('udp4');
    socket.send('CANARY', port, '127.0.0.1');
    await once(socket, 'close');
  }
  assert.deepEqual(
    trips.map(({ kind }) => kind),
    ['datagram'],
  );
  const open = createSocket('udp4');
  open.send('CANARY', port, '127.0.0.1');
  await once(sink, 'message');
  assert.equal(received, 1);
  open.close();
  sink.close();
});

test('a name asked of the system is reported, answered or not, and an address is none', async () => {
  const trips: Trip[] = [];
  {
    using _ = installTripwire({ owns: () => false, onTrip: (trip) => trips.push(trip) });
    await lookup('localhost');
    await assert.rejects(lookup('a name that nobody has'));
    await new Promise((resolve) => dns.lookup('also not one', resolve));
    await lookup('127.0.0.1');
  }
  await lookup('localhost');
  const names = ['localhost', 'a name that nobody has', 'also not one'];
  assert.deepEqual(
    trips.map(({ kind, name }) => [kind, name]),
    names.map((name) => ['name', name]),
  );
  for (const { stack } of trips) assert.match(stack, /tripwire\.test\.ts/);
});

test('the sockets of the egress room pass', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout([]);
  const trips: Trip[] = [];
  using _ = installTripwire({ owns: (socket) => egress.owns(socket), onTrip: (trip) => trips.push(trip) });
  const result = await send(egress.endpoint(network(side.port), BUNDLE));
  assert.equal(result.error, null);
  assert.deepEqual(trips, []);
});
