import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseTilePath, partialTiles, tilePath, tileWidth } from './tile-path.ts';
import {
  EMPTY_ROOT,
  leafHash,
  nodeHash,
  rootFromPath,
  TileNodes,
  TILE_WIDTH,
  TreeEdge,
  TreeReader,
  type TreeHash,
} from './tree.ts';
import { verifyConsistency } from './verify/proof.ts';
import { rootFromEntries } from './verify/tree.ts';

function leaf(index: number): Buffer {
  return Buffer.from(`leaf ${index}`);
}

/** A tree that keeps its full tiles in memory. */
function memoryTree(): { edge: TreeEdge; reader: TreeReader; tiles: Map<string, TileNodes> } {
  const tiles = new Map<string, TileNodes>();
  const edge = new TreeEdge((level, number, tile) => tiles.set(`${level}/${number}`, tile));
  const reader = new TreeReader(
    async (level, number) => tiles.get(`${level}/${number}`) ?? edge.partial(level),
  );
  return { edge, reader, tiles };
}

test('the root is that of the verifier, an independent program, at every size to 600', () => {
  const { edge } = memoryTree();
  assert.equal(edge.root(), EMPTY_ROOT);
  const entries: Buffer[] = [];
  for (let size = 1; size <= 600; size++) {
    entries.push(leaf(size - 1));
    edge.append(leafHash(leaf(size - 1)));
    if (size % 37 !== 0 && ![1, 2, 255, 256, 257, 512, 513].includes(size)) continue;
    assert.equal(edge.root(), Buffer.from(rootFromEntries(entries)).toString('latin1'));
  }
});

test('every path in trees across three levels of tiles leads to the root, and no other does', async () => {
  const { edge, reader } = memoryTree();
  const roots = new Map<number, TreeHash>();
  const checked = new Set([1, 2, 3, 7, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 66_000]);
  for (let size = 1; size <= 66_000; size++) {
    edge.append(leafHash(leaf(size - 1)));
    if (checked.has(size)) roots.set(size, edge.root());
  }
  for (const [size, root] of roots) {
    assert.equal(await reader.rootAt(size), root);
    for (const index of [0, 1, 2, 254, 255, 256, 300, 65_534, 65_535, 65_536, size - 1]) {
      if (index >= size) continue;
      const path = await reader.path(index, size);
      assert.equal(rootFromPath(leafHash(leaf(index)), { index, size }, path), root);
      assert.notEqual(rootFromPath(leafHash(leaf(index + 1)), { index, size }, path), root);
      assert.equal(rootFromPath(leafHash(leaf(index)), { index, size }, [...path, root]), null);
    }
  }
});

test('proves that every size continues every smaller one, as the verifier, an independent program, judges', async () => {
  const { edge, reader } = memoryTree();
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 13, 255, 256, 257, 512, 700, 65_535, 65_536, 65_537, 66_000];
  const roots = new Map<number, TreeHash>();
  for (let size = 1; size <= 66_000; size++) {
    edge.append(leafHash(leaf(size - 1)));
    if (sizes.includes(size)) roots.set(size, edge.root());
  }
  const bytes = (value: TreeHash): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(value, 'latin1'));
  for (const [newer, newRoot] of roots)
    for (const [older, oldRoot] of [...roots].filter(([size]) => size <= newer)) {
      const path = (await reader.consistency(older, newer)).map(bytes);
      const sized = { oldSize: BigInt(older), newSize: BigInt(newer), newRoot: bytes(newRoot), path };
      assert.ok(verifyConsistency({ ...sized, oldRoot: bytes(oldRoot) }), `${older} to ${newer}`);
      assert.ok(!verifyConsistency({ ...sized, oldRoot: bytes(leafHash(leaf(0))).fill(1) }));
    }
  assert.deepEqual(await reader.consistency(0, 66_000), []);
});

test('a resumed edge goes on as the one it was taken from', () => {
  const { edge, tiles } = memoryTree();
  for (let i = 0; i < 3 * TILE_WIDTH; i++) edge.append(leafHash(leaf(i)));
  const roots = [0, 1, 2].map((number) => tiles.get(`0/${number}`)?.node(8, 0) ?? assert.fail());
  const { edge: resumed } = memoryTree();
  resumed.resume(3 * TILE_WIDTH, [roots]);
  assert.equal(resumed.root(), edge.root());
  for (const one of [edge, resumed]) one.append(leafHash(leaf(3 * TILE_WIDTH)));
  assert.equal(resumed.root(), edge.root());
});

test('a tile gives all nodes above its hashes', () => {
  const hashes = Array.from({ length: 5 }, (_, i) => leafHash(leaf(i)));
  const tile = TileNodes.from(Buffer.from(hashes.join(''), 'latin1'));
  const [a = '', b = '', c = '', d = ''] = hashes;
  assert.equal(tile.node(2, 0), nodeHash(nodeHash(a, b), nodeHash(c, d)));
  assert.equal(tile.width, 5);
});

test('paths of tiles read back as what they were written from', () => {
  const cases: [string, ReturnType<typeof parseTilePath>][] = [
    ['tile/0/000', { level: 0, number: 0, width: 256 }],
    ['tile/0/x001/x234/067', { level: 0, number: 1_234_067, width: 256 }],
    ['tile/0/x001/x234/067.p/8', { level: 0, number: 1_234_067, width: 8 }],
    ['tile/63/001.p/255', { level: 63, number: 1, width: 255 }],
    ['tile/entries/x001/000', { level: 'entries', number: 1000, width: 256 }],
  ];
  for (const [path, name] of cases) {
    assert.deepEqual(parseTilePath(path), name);
    assert.equal(name === null ? '' : tilePath(name), path);
  }
});

test('no other spelling of a path is a tile', () => {
  const hostile = [
    'tile/64/000',
    'tile/00/000',
    'tile/-1/000',
    'tile/0/0',
    'tile/0/x000/000',
    'tile/0/001/x234',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/08',
    'tile/0/../000',
    'tile/0/000/',
    'tile/data/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    `tile/0/${'x000/'.repeat(10_000)}000`,
    'tile/0/000\n',
  ];
  for (const path of hostile) assert.equal(parseTilePath(path), null, path.slice(0, 40));
});

test('a tree of 70,000 has the tiles of the specification', () => {
  assert.deepEqual(partialTiles(70_000).map(tilePath), [
    'tile/0/273.p/112',
    'tile/entries/273.p/112',
    'tile/1/001.p/17',
    'tile/2/000.p/1',
  ]);
  assert.equal(tileWidth(0, 272, 70_000), 256);
  assert.equal(tileWidth(0, 273, 70_000), 112);
  assert.equal(tileWidth(0, 274, 70_000), 0);
  assert.deepEqual(partialTiles(256).map(tilePath), ['tile/1/000.p/1']);
});
