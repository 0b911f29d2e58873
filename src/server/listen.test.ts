import assert from 'node:assert/strict';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { identity, type Identity } from '../../test/support/certificates.ts';
import { until } from '../../test/support/observe.ts';
import { listen, type Incoming, type Listening, type ListenOptions } from './listen.ts';

const MEBIBYTE = 1024 * 1024;
const GET = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n';
const STALL_MS = 300;

test('a body that comes byte by byte costs its own size, not a buffer a byte', async (t) => {
  const { bodies, port } = await collecting(t);
  const socket = connected(t, port);
  const bytes = 1.5 * MEBIBYTE;
  const before = process.memoryUsage.rss();
  socket.send('POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n');
  socket.send(`${'1\r\nx\r\n'.repeat(bytes)}0\r\n\r\n`);
  await until(() => bodies.length === 1, 'the body arrives', 30_000);
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < 160 * MEBIBYTE, `${Math.round(grown / MEBIBYTE)} MiB`);
  assert.equal(bodies[0]?.toString(), 'x'.repeat(bytes));
});

test('a body in uneven pieces arrives as it was, up to the limit and no further', async (t) => {
  const { bodies, faults, port } = await collecting(t);
  const pieces = [1, 20_000, 3, 70_000, 1_000_000].map((length, i) => String(i).repeat(length));
  const chunked = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
  const head = 'POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
  connected(t, port).send(`${head}${chunked}0\r\n\r\n`);
  await until(() => bodies.length === 1, 'the body arrives');
  assert.equal(bodies[0]?.toString(), pieces.join(''));
  const tooLong = `200001\r\n${'y'.repeat(2 * MEBIBYTE + 1)}\r\n`;
  connected(t, port).send(`${head}${tooLong}`);
  await until(() => faults.length === 1, 'the longer body is refused');
  assert.match(String(faults[0]), /larger than 2097152 bytes/);
});

test('bytes that are no HTTP never enter the answer that runs on their connection', async (t) => {
  const running: Incoming[] = [];
  const port = await serving(t, (incoming) => void running.push(incoming));
  const streamed = connected(t, port);
  streamed.send(GET);
  await until(() => running.length === 1, 'the request arrives');
  running[0]?.reply.head(200, {});
  running[0]?.reply.write(Buffer.from('first'));
  await until(() => streamed.text().includes('first'), 'the answer begins');
  streamed.send('\u0000 garbage\r\n\r\n');
  await until(() => streamed.closed(), 'the connection is closed');
  assert.equal(streamed.text().match(/HTTP\/1\.1/g)?.length, 1, streamed.text());

  const unanswered = connected(t, port);
  unanswered.send(`${GET}\u0000 garbage\r\n\r\n`);
  await until(() => unanswered.closed(), 'the connection is closed');
  assert.equal(unanswered.text(), '', 'no 400 that could be taken for the answer of the request before it');
});

test('an answer to a client that is gone leaves no timer behind', async (t) => {
  const running: Incoming[] = [];
  const port = await serving(t, (incoming) => void running.push(incoming));
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const client = net.connect(port, '127.0.0.1');
  client.write(GET);
  await until(() => running.length === 1, 'the request arrives');
  let gone = false;
  running[0]?.reply.onGone(() => (gone = true));
  client.destroy();
  await until(() => gone, 'the client is gone');
  const before = timers();
  running[0]?.reply.head(200, {});
  running[0]?.reply.end(Buffer.from('late'));
  assert.ok(timers() <= before, 'what would cut a client that stalls waits for one that is gone');
});

test('bytes that are no HTTP get 400 where that can only be their answer', async (t) => {
  const port = await serving(t, (incoming) => void incoming.readBody(MEBIBYTE).catch(() => {}));
  const chunked = 'POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n';
  for (const bytes of ['\u0000 garbage\r\n\r\n', chunked, 'GET / HTTP/1.1\r\n\r\n']) {
    const socket = connected(t, port);
    socket.send(bytes);
    await until(() => socket.closed(), 'the connection is closed');
    assert.match(socket.text(), /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nmalformed$/i);
  }
});

test('an ambiguous request behind a running answer waits for its end', async (t) => {
  const running: Incoming[] = [];
  const port = await serving(t, (incoming) => void running.push(incoming));
  const socket = connected(t, port);
  socket.send(`${GET}GET /twice HTTP/1.1\r\nhost: localhost\r\nhost: other\r\n\r\n`);
  await until(() => running.length === 1, 'the first request arrives');
  running[0]?.reply.head(200, { 'content-length': '4' });
  running[0]?.reply.end(Buffer.from('good'));
  await until(() => socket.closed(), 'the connection is closed');
  assert.match(socket.text(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\ngoodHTTP\/1\.1 400 Bad Request\r\n/);
  assert.equal(running.length, 1, 'the ambiguous one went no further');
});

test('a client that takes nothing of its answer is cut off; a slow one is not', async (t) => {
  let gone = 0;
  const port = await serving(t, ({ path, reply }) => {
    reply.onGone(() => (gone += 1));
    reply.head(200, {});
    if (path === '/whole') reply.end(Buffer.alloc(32 * MEBIBYTE));
    else fill(reply);
  });
  for (const path of ['/stream', '/whole']) {
    const before = gone;
    const socket = connected(t, port);
    socket.pause();
    socket.send(GET.replace('/', path));
    await until(() => gone === before + 1, `${path} is cut off`);
  }
  const slow = connected(t, port);
  slow.send(GET.replace('/', '/whole'));
  for (let i = 0; i < 8; i++) {
    await until(() => slow.received() > 0, 'the answer begins');
    slow.pause();
    await new Promise((resolve) => setTimeout(resolve, STALL_MS / 2));
    slow.resume();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await until(() => slow.received() > 32 * MEBIBYTE, 'the slow client gets all of it');
  assert.equal(gone, 2);
});

test('a request that is refused by its head goes no further', async (t) => {
  const refusal = { status: 421, headers: { 'content-type': 'text/plain' }, body: Buffer.from('not here') };
  const { port } = await opened(t, { refuse: () => refusal, serve: () => assert.fail('it went further') });
  const socket = connected(t, port);
  socket.send(GET);
  await until(() => socket.text().endsWith('not here'), 'the refusal arrives');
  assert.match(socket.text(), /^HTTP\/1\.1 421 /);
});

test('a new certificate is used for new connections, and one without its key is refused', async (t) => {
  const [before, after] = [certificate('before'), certificate('after')];
  const listening = await opened(t, { tls: tlsOf(before) });
  assert.equal(await subjectOf(listening.port), 'before');
  assert.throws(() => listening.useTls({ ...tlsOf(after), key: Buffer.from(before.key) }));
  assert.equal(await subjectOf(listening.port), 'before');
  listening.useTls(tlsOf(after));
  assert.equal(await subjectOf(listening.port), 'after');
});

async function opened(t: TestContext, options: Partial<ListenOptions>): Promise<Listening> {
  const listening = await listen({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    refuse: () => null,
    serve: () => false,
    fetch: () => new Response(null, { status: 404 }),
    malformed: () => Buffer.from('malformed'),
    admits: () => true,
    stallMs: STALL_MS,
    ...options,
  });
  t.after(async () => listening[Symbol.asyncDispose]());
  return listening;
}

async function serving(t: TestContext, serve: (incoming: Incoming) => void): Promise<number> {
  const taken = (incoming: Incoming): boolean => {
    serve(incoming);
    return true;
  };
  return (await opened(t, { serve: taken })).port;
}

async function collecting(t: TestContext): Promise<{ bodies: Buffer[]; faults: unknown[]; port: number }> {
  const [bodies, faults]: [Buffer[], unknown[]] = [[], []];
  const port = await serving(t, (incoming) => {
    incoming.readBody(2 * MEBIBYTE).then(
      (body) => bodies.push(body),
      (fault: unknown) => faults.push(fault),
    );
  });
  return { bodies, faults, port };
}

interface Client {
  send(bytes: string): void;
  text(): string;
  received(): number;
  closed(): boolean;
  pause(): void;
  resume(): void;
}

function connected(t: TestContext, port: number): Client {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  let [text, received, closed] = ['', 0, false];
  socket.on('data', (piece: Buffer) => {
    received += piece.length;
    if (text.length < MEBIBYTE) text += piece.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  return {
    send: (bytes) => void socket.write(bytes, 'latin1'),
    text: () => text,
    received: () => received,
    closed: () => closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}

// As a stream does: it stops when the client does not take what was written.
function fill(reply: Incoming['reply']): void {
  while (reply.write(Buffer.alloc(MEBIBYTE)));
  reply.onDrain(() => fill(reply));
}

function certificate(name: string): Identity {
  return identity({ name, hosts: ['127.0.0.1'] });
}

function tlsOf({ cert, key }: Identity): NonNullable<ListenOptions['tls']> {
  return { cert: Buffer.from(cert), key: Buffer.from(key), clientCa: null };
}

function subjectOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      resolve(String(subject.CN));
    });
    socket.on('error', reject);
  });
}
