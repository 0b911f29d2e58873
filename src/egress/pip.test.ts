import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { refused } from '../../test/support/egress.ts';
import { httpSide } from '../../test/support/far-side.ts';
import type { FarSide } from '../../test/support/far-side.ts';
import { pipDownload } from './pip.ts';
import type { PipRequest } from './pip.ts';

const INFO = 'toy_model-1.0.dist-info';
const WHEEL = zip({
  'toy_model/__init__.py': '',
  [`${INFO}/METADATA`]: 'Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\nRequires-Dist: other\n',
  [`${INFO}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  [`${INFO}/RECORD`]: '',
});
const SHA256 = createHash('sha256').update(WHEEL).digest('hex');
const NAME = 'toy_model-1.0-py3-none-any.whl';

/** A package index on loopback (PEP 503) that remembers what it was asked. */
function indexSide(asked: string[]): Promise<FarSide> {
  return httpSide((request, reply) => {
    asked.push(request.url ?? '');
    if (request.url === '/simple/toy-model/')
      reply.writeHead(200, { 'content-type': 'text/html' }).end(`<a href="/files/${NAME}">${NAME}</a>`);
    else if (request.url === `/files/${NAME}`) reply.end(WHEEL);
    else reply.writeHead(404).end();
  });
}

async function withRequest(
  port: number,
  over: Partial<PipRequest>,
  use: (request: PipRequest) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sekisho-pip-'));
  const home = await mkdtemp(join(tmpdir(), 'sekisho-home-'));
  const { PATH } = process.env;
  try {
    await use({
      name: 'toy-model',
      version: '1.0',
      sha256: SHA256,
      path: join(folder, 'toy.whl'),
      indexUrl: `http://127.0.0.1:${port}/simple`,
      environment: { PATH, HOME: home },
      posture: 'private',
      signal: new AbortController().signal,
      onProgress: () => {},
      ...over,
    });
  } finally {
    await rm(folder, { recursive: true });
    await rm(home, { recursive: true });
  }
}

test('one wheel arrives from the declared index; dependencies, proxies and the environment have no say', async () => {
  const asked: string[] = [];
  const astray: string[] = [];
  await using index = await indexSide(asked);
  await using other = await indexSide(astray);
  const elsewhere = `http://127.0.0.1:${other.port}`;
  const hostile = {
    HTTP_PROXY: elsewhere,
    http_proxy: elsewhere,
    ALL_PROXY: elsewhere,
    PIP_INDEX_URL: `${elsewhere}/simple`,
    PIP_EXTRA_INDEX_URL: `${elsewhere}/simple`,
    PIP_PROXY: elsewhere,
  };
  const said: string[] = [];
  await withRequest(index.port, { onProgress: (line) => said.push(line) }, async (request) => {
    await pipDownload({ ...request, environment: { ...request.environment, ...hostile } });
    assert.deepEqual(await readFile(request.path), WHEEL);
    assert.deepEqual(await readdir(join(request.path, '..')), ['toy.whl']);
  });
  assert.deepEqual(astray, []);
  assert.ok(asked.length > 0 && asked.every((url) => url.includes('toy')));
  assert.ok(said.some((line) => line.includes('toy')));
});

test('a module that lies where the site was started is not run', async (t) => {
  const planted = await mkdtemp(join(tmpdir(), 'sekisho-planted-'));
  const before = process.cwd();
  t.after(async () => {
    process.chdir(before);
    await rm(planted, { recursive: true });
  });
  const ran = join(planted, 'ran');
  await mkdir(join(planted, 'pip'));
  await writeFile(join(planted, 'pip', '__init__.py'), '');
  await writeFile(join(planted, 'pip', '__main__.py'), `open(${JSON.stringify(ran)}, 'w').close()\n`);
  process.chdir(planted);
  await using index = await indexSide([]);
  await withRequest(index.port, {}, async (request) => {
    await pipDownload(request);
    assert.deepEqual(await readFile(request.path), WHEEL);
  });
  await assert.rejects(readFile(ran), { code: 'ENOENT' });
});

test('guard digest: a wheel with other bytes is thrown away', async () => {
  await using index = await indexSide([]);
  await withRequest(index.port, { sha256: '0'.repeat(64) }, async (request) => {
    assert.equal(await refused(() => pipDownload(request)), 'egress.denied:digest');
    assert.deepEqual(await readdir(join(request.path, '..')), []);
  });
});

test('guard posture: a disconnected site runs no pip', async () => {
  const asked: string[] = [];
  await using index = await indexSide(asked);
  await withRequest(index.port, { posture: 'disconnected' }, async (request) => {
    assert.equal(await refused(() => pipDownload(request)), 'egress.denied:posture');
  });
  assert.deepEqual(asked, []);
});

test('names and versions that could be options or addresses are refused', async () => {
  const bad: Partial<PipRequest>[] = [
    { name: '--index-url' },
    { name: 'a @ http://x' },
    { name: 'a;b' },
    { version: '-1' },
    { version: '1 --pre' },
    { indexUrl: '--trusted-host=x' },
  ];
  for (const over of bad)
    await withRequest(0, over, async (request) => {
      assert.equal(await refused(() => pipDownload(request)), 'egress.invalid_network', JSON.stringify(over));
    });
});

test('a missing package, a missing python and giving up are faults', async () => {
  await using index = await indexSide([]);
  await withRequest(index.port, { name: 'nothing-here' }, async (request) => {
    assert.equal(await refused(() => pipDownload(request)), 'egress.unreachable');
  });
  await withRequest(index.port, { environment: { PATH: '/nonexistent' } }, async (request) => {
    assert.equal(await refused(() => pipDownload(request)), 'egress.unreachable');
  });
  await withRequest(index.port, { signal: AbortSignal.abort() }, async (request) => {
    assert.equal(await refused(() => pipDownload(request)), 'egress.interrupted');
  });
});

/** A zip archive whose files are stored as they are. */
function zip(files: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const data = Buffer.from(text);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), data]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, place, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(index.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, index, Buffer.from('PK\x05\x06'), end]);
}
