import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { silentLog } from '../core/log.ts';
import { BUNDLE, PROMPT, egressWithout, label, network, permit, send } from '../../test/support/egress.ts';
import { httpSide, tcpSide } from '../../test/support/far-side.ts';
import type { EgressHandler } from './types.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';

function ignoring(handler: Partial<EgressHandler>): EgressHandler {
  return { onHead: () => {}, onData: () => true, onEnd: () => {}, onError: () => {}, ...handler };
}

test('an answer arrives whole, with what the socket showed, and the connection is used again', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, { 'content-type': 'application/json', 'x-many': ['a', 'b'] }).end('{"ok":1}');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const first = await send(channel);
  assert.deepEqual([first.status, first.body, first.error], [200, '{"ok":1}', null]);
  assert.equal(first.headers['x-many'], 'a, b');
  const seen = first.call.observed();
  assert.equal(seen?.peer, `127.0.0.1:${side.port}`);
  assert.equal(seen?.spki, null);
  assert.ok((seen?.connectMs ?? -1) >= 0);
  const second = await send(channel);
  assert.deepEqual(second.call.observed(), seen);
  assert.equal(side.connections(), 1);
});

test('the peer is known before the first byte of the request leaves', async () => {
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await using side = await httpSide((asked, reply) => {
    order.push(call.observed() === null ? 'bytes first' : 'observed first');
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const call = channel.dispatch(permit(), PROMPT, ignoring({ onEnd: resolve }));
  assert.equal(call.observed(), null);
  await promise;
  assert.deepEqual(order, ['observed first']);
});

test('interim answers are not the answer', async () => {
  await using side = await tcpSide((socket) =>
    socket.once('data', () =>
      socket.write(`HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n${HEAD}content-length: 2\r\n\r\nok`),
    ),
  );
  await using egress = egressWithout([]);
  const result = await send(egress.endpoint(network(side.port), BUNDLE));
  assert.deepEqual([result.status, result.body, result.error], [200, 'ok', null]);
});

for (const [what, answer, error] of [
  ['no HTTP', 'hello\r\n\r\n', 'egress.garbage'],
  [
    'compression nobody asked for',
    `${HEAD}content-encoding: gzip\r\ncontent-length: 2\r\n\r\nab`,
    'egress.garbage',
  ],
  [
    'an unknown transfer coding',
    `${HEAD}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'egress.garbage',
  ],
  ['no length and no chunks', `${HEAD}\r\nhalf`, 'egress.garbage'],
  ['a head without end', `${HEAD}${'x-long: header\r\n'.repeat(2_000)}`, 'egress.garbage'],
  [
    'length and chunks',
    `${HEAD}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    'egress.garbage',
  ],
  ['a chunk of no size', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`, 'egress.garbage'],
  ['half a body', `${HEAD}content-length: 10\r\n\r\nhalf`, 'egress.interrupted'],
  ['half a stream', `${HEAD}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n`, 'egress.interrupted'],
  [
    'a change of protocol',
    'HTTP/1.1 101 Hm\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    'egress.interrupted',
  ],
  ['nothing', '', 'egress.interrupted'],
] as const) {
  test(`an answer of ${what} is never a good end`, async () => {
    await using side = await tcpSide((socket) => socket.once('data', () => socket.end(answer)));
    await using egress = egressWithout([]);
    const result = await send(egress.endpoint(network(side.port), BUNDLE));
    assert.equal(result.error, error);
    assert.equal(side.connections(), 1);
  });
}

test('silence before the head and between pieces ends the exchange in time', async () => {
  await using side = await tcpSide((socket) =>
    socket.once('data', (data) => {
      if (data.includes('/half')) socket.write(`${HEAD}content-length: 10\r\n\r\nhalf`);
    }),
  );
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  for (const path of ['/none', '/half']) {
    const started = performance.now();
    const result = await send(channel, { path, timeoutMs: 100 });
    assert.equal(result.error, 'egress.interrupted');
    assert.ok(performance.now() - started < 1_500);
  }
});

test('a refused connection is unreachable, and nothing was sent', async () => {
  const side = await tcpSide(() => {});
  await side[Symbol.asyncDispose]();
  await using egress = egressWithout([]);
  const result = await send(egress.endpoint(network(side.port), BUNDLE));
  assert.equal(result.error, 'egress.unreachable');
  assert.equal(result.call.observed(), null);
});

test('a request whose bytes left is never sent again', async () => {
  let posts = 0;
  await using side = await tcpSide((socket) => {
    let served = 0;
    socket.on('data', () => {
      posts++;
      if (served++ === 0) socket.write(`${HEAD}content-length: 2\r\n\r\nok`);
      else socket.resetAndDestroy();
    });
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  assert.equal((await send(channel)).error, null);
  assert.equal((await send(channel)).error, 'egress.interrupted');
  assert.equal((await send(channel, { method: 'GET', body: null })).error, null);
  assert.equal((await send(channel, { method: 'GET', body: null })).error, 'egress.interrupted');
  assert.equal(posts, 4);
  assert.equal(side.connections(), 2);
});

test('a connection that died while idle is replaced, since nothing was written on it', async () => {
  const sockets: Socket[] = [];
  await using side = await tcpSide((socket) => {
    sockets.push(socket);
    socket.on('data', () => socket.write(`${HEAD}content-length: 2\r\n\r\nok`));
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  assert.equal((await send(channel)).error, null);
  const [first] = sockets;
  assert.ok(first !== undefined);
  first.destroy();
  await once(first, 'close');
  assert.equal((await send(channel)).error, null);
  assert.equal(side.connections(), 2);
});

test('an answer that closes its connection is followed by a fresh one', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, { connection: 'close', 'content-length': '2' }).end('ok');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  for (let i = 0; i < 5; i++) assert.equal((await send(channel)).error, null);
  assert.equal(side.connections(), 5);
});

test('abort closes the upstream socket within 100 ms and silences the handler', async () => {
  const replies: ServerResponse[] = [];
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200).write('data: 1\n\n');
    replies.push(reply);
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  let calls = 0;
  const streams = Array.from({ length: 20 }, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const count = (): void => void calls++;
    const call = channel.dispatch(
      permit(),
      PROMPT,
      ignoring({ onData: () => (resolve(), true), onEnd: count, onError: count }),
    );
    return { call, promise };
  });
  await Promise.all(streams.map(({ promise }) => promise));
  assert.equal(side.sockets.size, 20);
  const closed = [...side.sockets].map((socket) => once(socket, 'close'));
  const started = performance.now();
  for (const { call } of streams) call.abort();
  await Promise.all(closed);
  assert.ok(performance.now() - started < 100, `${performance.now() - started} ms`);
  assert.equal(calls, 0);
});

test('abort before the connection is up leaves nothing behind', async () => {
  await using side = await httpSide((_, reply) => reply.end());
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  let calls = 0;
  const count = (): void => void calls++;
  const call = channel.dispatch(permit(), PROMPT, ignoring({ onHead: count, onEnd: count, onError: count }));
  call.abort();
  call.abort();
  assert.equal((await send(channel)).error, null);
  assert.equal(calls, 0);
  assert.ok(side.bytes() < 400);
});

test('a handler that says pause holds the far side back with bounded memory', async () => {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const pieces = 1_024;
  let written = 0;
  const { promise: stalled, resolve: stall } = Promise.withResolvers<void>();
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, { 'content-length': String(piece.length * pieces) });
    const more = (): void => {
      while (written < pieces) {
        written++;
        if (!reply.write(piece)) {
          reply.once('drain', more);
          if (written > 1) setTimeout(stall, 100);
          return;
        }
      }
      reply.end();
    };
    more();
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let received = 0;
  let holding = true;
  const call = channel.dispatch(
    permit(),
    PROMPT,
    ignoring({
      onData(chunk) {
        received += chunk.length;
        if (!holding) setImmediate(() => call.resume());
        return false;
      },
      onEnd: end,
    }),
  );
  await stalled;
  assert.ok(received <= piece.length, `${received} bytes while paused`);
  assert.ok(written < pieces / 2, `${written} pieces written while paused`);
  holding = false;
  call.resume();
  await ended;
  assert.equal(received, piece.length * pieces);
});

test('a handler may resume at once, without starving the process', async () => {
  const body = Buffer.alloc(4 * 1024 * 1024, 'x');
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.writeHead(200, { 'content-length': String(body.length) }).end(body);
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let received = 0;
  let empty = 0;
  const call = channel.dispatch(
    permit(),
    PROMPT,
    ignoring({
      onData(chunk) {
        received += chunk.length;
        if (chunk.length === 0) empty++;
        queueMicrotask(() => call.resume());
        return false;
      },
      onEnd: end,
    }),
  );
  await ended;
  assert.deepEqual([received, empty], [body.length, 0]);
});

test('a handler that throws ends its exchange and nothing else, and the log says so', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  const { promise: logged, resolve: log } = Promise.withResolvers<string>();
  await using egress = egressWithout([], { log: { ...silentLog, error: log } });
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const planted = (): void => {
    throw new TypeError('planted');
  };
  const fault = await new Promise<Error>((resolve) => {
    channel.dispatch(permit(), PROMPT, ignoring({ onHead: planted, onError: resolve }));
  });
  assert.equal(label(fault), 'egress.handler_failed');
  assert.equal(await logged, 'egress.handler_failed');
  channel.dispatch(permit(), PROMPT, ignoring({ onEnd: planted, onError: () => assert.fail('ended well') }));
  assert.equal((await send(channel)).error, null);
});

test('each refusal is logged by endpoint and guard', async () => {
  const lines: unknown[] = [];
  const warn = (...line: unknown[]): void => void lines.push(line);
  await using egress = egressWithout([], { log: { ...silentLog, warn } });
  await send(egress.endpoint(network(80), BUNDLE), { headers: { cookie: 'CANARY' } });
  assert.deepEqual(lines, [['egress.refused', { endpoint: 'jp-a/m', guard: 'header' }]]);
});
