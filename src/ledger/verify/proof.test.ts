import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { consistencyPath, inclusionPath, treeHash } from '../../../test/support/signed-log.ts';
import { verifyCheckpoint } from './checkpoint.ts';
import { verifyConsistency, verifyInclusion } from './proof.ts';
import { sha256 } from './sha256.ts';
import { type Hash, hashLeaf, rootFromEntries, TreeRoot } from './tree.ts';
import { parseVkey } from './vkey.ts';

const SIZES = 34;
const entries = Array.from({ length: SIZES }, (_, i) => Buffer.from(`entry ${i}`));
const copy = (hash: Uint8Array): Hash => Uint8Array.from(hash);
const paths = (hashes: readonly Uint8Array[]): Hash[] => hashes.map(copy);
const flip = (hash: Uint8Array): Hash => copy(hash).map((byte, i) => (i === 31 ? byte ^ 1 : byte));

test('reaches the root that the definition gives, for every size', () => {
  assert.deepEqual(rootFromEntries([]), sha256(new Uint8Array()));
  const tree = new TreeRoot();
  for (let size = 1; size <= SIZES; size++) {
    tree.append(hashLeaf(Buffer.from(`entry ${size - 1}`)));
    assert.equal(tree.size, size);
    assert.deepEqual(tree.root(), copy(treeHash(entries.slice(0, size))));
    assert.deepEqual(rootFromEntries(entries.slice(0, size)), tree.root());
  }
});

test('proves each leaf of each size at its own index and at no other', () => {
  for (let size = 1; size <= SIZES; size++) {
    const shown = entries.slice(0, size);
    const root = treeHash(shown);
    for (let at = 0; at < size; at++) {
      const proof = {
        leafHash: hashLeaf(Buffer.from(`entry ${at}`)),
        size: BigInt(size),
        root,
        path: paths(inclusionPath(shown, at)),
      };
      for (let index = -1; index <= size + 1; index++)
        assert.equal(
          verifyInclusion({ ...proof, index: BigInt(index) }),
          index === at,
          `${at} as ${index} of ${size}`,
        );
    }
  }
});

test('refuses an inclusion proof that is short, long, reordered or changed', () => {
  const proof = {
    leafHash: hashLeaf(Buffer.from('entry 5')),
    index: 5n,
    size: 13n,
    root: treeHash(entries.slice(0, 13)),
  };
  const path = paths(inclusionPath(entries.slice(0, 13), 5));
  assert.ok(verifyInclusion({ ...proof, path }));
  assert.ok(!verifyInclusion({ ...proof, path: path.slice(0, -1) }));
  assert.ok(!verifyInclusion({ ...proof, path: path.slice(1) }));
  assert.ok(!verifyInclusion({ ...proof, path: path.toReversed() }));
  assert.ok(!verifyInclusion({ ...proof, path: [...path, hashLeaf(Buffer.from('x'))] }));
  path.forEach((hash, i) => assert.ok(!verifyInclusion({ ...proof, path: path.with(i, flip(hash)) })));
  assert.ok(!verifyInclusion({ ...proof, path: [], size: 0n }));
});

test('proves that each size begins with each smaller one, and no changed proof does', () => {
  for (let newSize = 0; newSize <= SIZES; newSize++) {
    const newRoot = rootFromEntries(entries.slice(0, newSize));
    for (let oldSize = 0; oldSize <= newSize; oldSize++) {
      const path = paths(consistencyPath(entries.slice(0, newSize), oldSize));
      const proof = {
        oldSize: BigInt(oldSize),
        oldRoot: rootFromEntries(entries.slice(0, oldSize)),
        newSize: BigInt(newSize),
        newRoot,
      };
      assert.ok(verifyConsistency({ ...proof, path }), `${oldSize} to ${newSize}`);
      assert.ok(!verifyConsistency({ ...proof, path: [...path, flip(newRoot)] }));
      if (oldSize > 0) assert.ok(!verifyConsistency({ ...proof, path, oldRoot: flip(proof.oldRoot) }));
      if (oldSize > 0) assert.ok(!verifyConsistency({ ...proof, path, newRoot: flip(newRoot) }));
      if (path.length > 0) assert.ok(!verifyConsistency({ ...proof, path: path.slice(1) }));
      path.forEach((hash, i) => assert.ok(!verifyConsistency({ ...proof, path: path.with(i, flip(hash)) })));
    }
  }
});

test('refuses a log that shrank', () => {
  const root = rootFromEntries(entries.slice(0, 4));
  assert.ok(!verifyConsistency({ oldSize: 5n, oldRoot: root, newSize: 4n, newRoot: root, path: [] }));
  assert.ok(!verifyConsistency({ oldSize: -1n, oldRoot: root, newSize: 4n, newRoot: root, path: [] }));
});

test('verifies the published log at every size: signature, root, inclusion and consistency', async () => {
  const folder = path.join(import.meta.dirname, '../../../fixtures/tlog');
  const key = parseVkey(readFileSync(path.join(folder, 'keys.txt'), 'utf8').split('\n')[1] ?? '');
  const bundle = readFileSync(path.join(folder, 'log/tile/entries/000.p/15'));
  const published = [...bundleEntries(bundle)];
  let before = { size: 0n, root: rootFromEntries([]) };
  for (let size = 0; size <= 15; size++) {
    const note = readFileSync(path.join(folder, `log/checkpoint.${size}`), 'utf8');
    const checkpoint = await verifyCheckpoint(note, [key]);
    const shown = published.slice(0, size);
    assert.equal(checkpoint.size, BigInt(size));
    assert.deepEqual(checkpoint.root, rootFromEntries(shown));
    for (const [i, entry] of shown.entries())
      assert.ok(
        verifyInclusion({
          ...checkpoint,
          leafHash: hashLeaf(entry),
          index: BigInt(i),
          path: inclusionPath(shown, i),
        }),
      );
    assert.ok(
      verifyConsistency({
        oldSize: before.size,
        oldRoot: before.root,
        newSize: checkpoint.size,
        newRoot: checkpoint.root,
        path: paths(consistencyPath(shown, Number(before.size))),
      }),
    );
    before = checkpoint;
  }
});

// C2SP tlog-tiles: each entry after its length as an unsigned 16-bit number.
function* bundleEntries(bundle: Buffer): Generator<Buffer> {
  for (let at = 0; at < bundle.length;) {
    const length = bundle.readUInt16BE(at);
    yield bundle.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
}
