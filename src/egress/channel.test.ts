import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  BUNDLE,
  PROMPT,
  egressWithout,
  heldWorld,
  label,
  network,
  permit,
  send,
  until,
} from '../../test/support/egress.ts';
import { httpSide } from '../../test/support/far-side.ts';

test('retiring a bundle closes idle connections at once and running ones when their time is over', async () => {
  const running: ServerResponse[] = [];
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    if (asked.url === '/idle') return void reply.end('{}');
    reply.writeHead(200).write('data: 1\n\n');
    running.push(reply);
  });
  const { world, wake } = heldWorld();
  await using egress = egressWithout([], { world });
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const streams = ['/finishes', '/cut'].map((path) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = new Promise<string>((end) => {
      channel.dispatch(
        permit(),
        { ...PROMPT, path },
        {
          onHead: () => resolve(),
          onData: () => true,
          onEnd: () => end('well'),
          onError: (fault) => end(label(fault)),
        },
      );
    });
    return { promise, ended };
  });
  await Promise.all(streams.map(({ promise }) => promise));
  await send(channel, { path: '/idle' });
  assert.equal(side.sockets.size, 3);

  egress.retire(BUNDLE);
  const [idle] = [...side.sockets].filter((socket) => !running.some((reply) => reply.socket === socket));
  assert.ok(idle !== undefined);
  await until(() => side.sockets.size === 2, idle, 'close');

  running.find((reply) => reply.req.url === '/finishes')?.end();
  assert.equal(await streams[0]?.ended, 'well');
  wake();
  assert.equal(await streams[1]?.ended, 'egress.interrupted');
});

test('what a bundle permitted before it was replaced is still sent, on a connection that is not kept', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout([]);
  const facts = network(side.port);
  const channel = egress.endpoint(facts, BUNDLE);
  egress.retire(BUNDLE);
  assert.equal(egress.endpoint(facts, BUNDLE), channel);
  assert.equal((await send(channel)).error, null);
  assert.equal((await send(egress.endpoint(facts, BUNDLE))).error, null);
  assert.equal(side.connections(), 2);
  // An endpoint that had no traffic until then.
  const other = egress.endpoint({ ...facts, addresses: ['127.0.0.1/32'] }, BUNDLE);
  assert.equal((await send(other)).error, null);
});

test('when the time of a replaced bundle is over, nothing is sent under it', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  egress.retire(BUNDLE, 1);
  await delay(20);
  assert.equal((await send(channel)).error, 'egress.denied:bundle');
  assert.throws(() => egress.endpoint(network(side.port), BUNDLE), /no longer runs/);
  assert.equal(side.connections(), 0);
});

test('a kept connection is not used under the bundle that replaced its own', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    reply.end('{}');
  });
  await using egress = egressWithout(['permit']);
  const facts = network(side.port);
  const old = egress.endpoint(facts, BUNDLE);
  assert.equal(egress.endpoint({ ...facts }, BUNDLE), old);
  await send(old);
  const fresh = egress.endpoint(facts, 'sha256:b2');
  assert.notEqual(fresh, old);
  await send(fresh);
  assert.equal(side.connections(), 2);
  assert.notEqual(egress.endpoint({ ...facts, addresses: ['127.0.0.1/32'] }, BUNDLE), old);
});

test('more exchanges than connections wait their turn', async () => {
  await using side = await httpSide((asked, reply) => {
    asked.resume();
    setImmediate(() => reply.end('{}'));
  });
  await using egress = egressWithout([]);
  const channel = egress.endpoint(network(side.port), BUNDLE);
  const results = await Promise.all(Array.from({ length: 600 }, () => send(channel)));
  assert.deepEqual(
    results.filter((result) => result.error !== null),
    [],
  );
  assert.ok(side.connections() <= 256);
});
