import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { egressWithout, refused } from '../../test/support/egress.ts';
import { httpSide } from '../../test/support/far-side.ts';
import type { ArtifactRequest } from './types.ts';

const BYTES = Buffer.alloc(3 * 1024 * 1024, 'model');
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

interface Folder extends AsyncDisposable {
  readonly path: string;
}

async function folder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'sekisho-artifact-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function wanted(url: string, path: string, over: Partial<ArtifactRequest> = {}): ArtifactRequest {
  return {
    url,
    sha256: SHA256,
    maxBytes: BYTES.length,
    hosts: ['127.0.0.1', '127.0.0.2'],
    addresses: ['127.0.0.0/8'],
    proxy: null,
    path: join(path, 'model.gguf'),
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...over,
  };
}

/** Serves the file, ranges included. */
const ranged: RequestListener = (asked, reply) => {
  const from = Number(/^bytes=(\d+)-$/.exec(asked.headers.range ?? '')?.[1] ?? 0);
  if (from > BYTES.length) return void reply.writeHead(416, { 'content-length': '0' }).end();
  const head = { 'content-length': String(BYTES.length - from) };
  if (from === 0) reply.writeHead(200, head);
  else
    reply.writeHead(206, { ...head, 'content-range': `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` });
  reply.end(BYTES.subarray(from));
};

test('a file arrives whole, with progress, and nothing but a plain GET leaves', async () => {
  await using dir = await folder();
  const asked: string[] = [];
  await using side = await httpSide((request, reply) => {
    const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}`);
    asked.push(`${request.method} ${request.url}`, ...headers);
    ranged(request, reply);
  });
  await using egress = egressWithout([]);
  const progress: [number, number | null][] = [];
  const onProgress = (received: number, total: number | null): void => void progress.push([received, total]);
  const url = `http://127.0.0.1:${side.port}/m?download=true`;
  const result = await egress.artifact(wanted(url, dir.path, { onProgress }));
  assert.equal(result.bytes, BYTES.length);
  assert.equal(result.url, url);
  assert.equal(result.observed.peer, `127.0.0.1:${side.port}`);
  assert.deepEqual(await readFile(join(dir.path, 'model.gguf')), BYTES);
  assert.ok(!existsSync(join(dir.path, 'model.gguf.part')));
  assert.deepEqual(progress.at(-1), [BYTES.length, BYTES.length]);
  assert.deepEqual(asked, [
    'GET /m?download=true',
    `host: 127.0.0.1:${side.port}`,
    'connection: keep-alive',
    'user-agent: sekisho',
    'accept-encoding: identity',
    'accept: */*',
  ]);
});

test('guard digest: other bytes are thrown away', async () => {
  await using dir = await folder();
  await using side = await httpSide((_, reply) => reply.end('something else'));
  await using egress = egressWithout([]);
  const request = wanted(`http://127.0.0.1:${side.port}/`, dir.path);
  assert.equal(await refused(() => egress.artifact(request)), 'egress.denied:digest');
  assert.ok(!existsSync(request.path) && !existsSync(`${request.path}.part`));
  await using open = egressWithout(['digest']);
  await open.artifact(request);
  assert.equal(await readFile(request.path, 'utf8'), 'something else');
});

test('guard size: more bytes than declared are not taken, announced or not', async () => {
  await using dir = await folder();
  await using side = await httpSide((asked, reply) => {
    if (asked.url === '/announced') reply.writeHead(200, { 'content-length': String(BYTES.length + 1) });
    reply.write(BYTES);
    reply.end('x');
  });
  await using egress = egressWithout([]);
  for (const path of ['announced', 'chunked']) {
    const request = wanted(`http://127.0.0.1:${side.port}/${path}`, dir.path);
    assert.equal(await refused(() => egress.artifact(request)), 'egress.denied:size', path);
    assert.ok((await stat(`${request.path}.part`)).size <= BYTES.length);
  }
});

test('guard redirect: each hop is judged again; only listed hosts and allowed schemes are followed', async () => {
  await using dir = await folder();
  await using mirror = await httpSide(ranged, { host: '127.0.0.2' });
  await using abroad = await httpSide(ranged, { host: '127.0.0.4' });
  await using side = await httpSide((asked, reply) => {
    const to: Record<string, string> = {
      '/ok': `http://127.0.0.2:${mirror.port}/m`,
      '/abroad': `http://127.0.0.4:${abroad.port}/m`,
      '/number': `http://2130706436:${abroad.port}/m`,
      '/name': 'http://mirror.test/m',
      '/scheme': 'ftp://127.0.0.2/m',
      '/loop': '/loop',
      '/relative': 'ok',
    };
    reply.writeHead(302, { location: to[asked.url ?? ''] }).end('x'.repeat(100));
  });
  await using egress = egressWithout([]);
  const get = (path: string, over: Partial<ArtifactRequest> = {}) =>
    egress.artifact(wanted(`http://127.0.0.1:${side.port}${path}`, dir.path, over));
  assert.equal((await get('/ok')).url, `http://127.0.0.2:${mirror.port}/m`);
  assert.equal((await get('/relative')).url, `http://127.0.0.2:${mirror.port}/m`);
  assert.equal(await refused(() => get('/abroad')), 'egress.denied:literal');
  assert.equal(await refused(() => get('/number')), 'egress.denied:literal');
  assert.equal(await refused(() => get('/name')), 'egress.denied:host');
  assert.equal(
    await refused(() => get('/name', { hosts: ['127.0.0.1', 'mirror.test'] })),
    'egress.denied:scheme',
  );
  assert.equal(await refused(() => get('/scheme')), 'egress.denied:scheme');
  assert.equal(await refused(() => get('/loop')), 'egress.denied:redirect');
  assert.equal(abroad.connections(), 0);

  await using open = egressWithout(['literal', 'host']);
  await open.artifact(wanted(`http://127.0.0.1:${side.port}/abroad`, dir.path));
  assert.equal(abroad.connections(), 1);
});

test('guard address: without declared prefixes an artifact never comes from a private address', async () => {
  await using dir = await folder();
  await using side = await httpSide(ranged);
  const request = wanted(`http://127.0.0.1:${side.port}/`, dir.path, { addresses: null });
  await using egress = egressWithout([]);
  assert.equal(await refused(() => egress.artifact(request)), 'egress.denied:address');
  assert.equal(side.connections(), 0);
  await using open = egressWithout(['answers', 'address']);
  await open.artifact(request);
  assert.equal(side.connections(), 1);
});

test('guard posture: a disconnected site fetches nothing, not even from loopback', async () => {
  await using dir = await folder();
  await using side = await httpSide(ranged);
  const request = wanted(`http://127.0.0.1:${side.port}/`, dir.path);
  await using egress = egressWithout([], { posture: () => 'disconnected' });
  assert.equal(await refused(() => egress.artifact(request)), 'egress.denied:posture');
  assert.equal(side.connections(), 0);
  await using open = egressWithout(['posture'], { posture: () => 'disconnected' });
  await open.artifact(request);
  assert.equal(side.connections(), 1);
});

test('a broken-off download goes on where it stopped, within one call and across calls', async () => {
  await using dir = await folder();
  const ranges: (string | undefined)[] = [];
  let cuts = 2;
  await using side = await httpSide((asked, reply) => {
    ranges.push(asked.headers.range);
    if (cuts === 0) return ranged(asked, reply);
    cuts--;
    const from = Number(asked.headers.range?.slice(6, -1) ?? 0);
    const head = { 'content-length': String(BYTES.length - from) };
    if (from === 0) reply.writeHead(200, head);
    else
      reply.writeHead(206, { ...head, 'content-range': `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` });
    reply.write(BYTES.subarray(from, from + 1024 * 1024), () => reply.socket?.end());
  });
  await using egress = egressWithout([]);
  const request = wanted(`http://127.0.0.1:${side.port}/`, dir.path);
  await egress.artifact(request);
  assert.deepEqual(await readFile(request.path), BYTES);
  assert.equal(ranges.length, 3);
  assert.ok(ranges[1] !== undefined && ranges[2] !== undefined);

  await writeFile(`${request.path}.part`, BYTES.subarray(0, 100));
  await egress.artifact(request);
  assert.equal(ranges[3], 'bytes=100-');
  assert.deepEqual(await readFile(request.path), BYTES);
});

test('a server without ranges, and a rest longer than the file, start over', async () => {
  await using dir = await folder();
  await using plain = await httpSide((_, reply) => reply.end(BYTES));
  await using side = await httpSide(ranged);
  await using egress = egressWithout([]);
  const request = wanted(`http://127.0.0.1:${plain.port}/`, dir.path);
  await writeFile(`${request.path}.part`, 'old bytes');
  await egress.artifact(request);
  assert.deepEqual(await readFile(request.path), BYTES);
  await writeFile(`${request.path}.part`, Buffer.alloc(BYTES.length + 1));
  await egress.artifact({ ...request, url: `http://127.0.0.1:${side.port}/`, maxBytes: BYTES.length + 1 });
  assert.deepEqual(await readFile(request.path), BYTES);
});

test('another range than asked for, an error page and a missing location are never a file', async () => {
  await using dir = await folder();
  await using side = await httpSide((asked, reply) => {
    if (asked.url === '/range')
      reply.writeHead(206, { 'content-range': 'bytes 7-9/10', 'content-length': '3' }).end('abc');
    else if (asked.url === '/missing') reply.writeHead(404).end('no such file');
    else reply.writeHead(302).end();
  });
  await using egress = egressWithout([]);
  const at = (path: string) => wanted(`http://127.0.0.1:${side.port}${path}`, dir.path);
  assert.equal(await refused(() => egress.artifact(at('/range'))), 'egress.garbage');
  assert.equal(await refused(() => egress.artifact(at('/missing'))), 'egress.unreachable');
  assert.equal(await refused(() => egress.artifact(at('/nowhere'))), 'egress.garbage');
  assert.ok(!existsSync(at('/').path));
});

test('giving up keeps what arrived and leaves no connection', async () => {
  await using dir = await folder();
  await using side = await httpSide((_, reply) => {
    reply.writeHead(200, { 'content-length': String(BYTES.length) });
    reply.write(BYTES.subarray(0, 1000));
  });
  await using egress = egressWithout([]);
  const abort = new AbortController();
  const request = wanted(`http://127.0.0.1:${side.port}/`, dir.path, {
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  assert.equal(await refused(() => egress.artifact(request)), 'egress.interrupted');
  assert.equal((await stat(`${request.path}.part`)).size, 1000);
  assert.equal(await refused(() => egress.artifact(request)), 'egress.unreachable');
});
