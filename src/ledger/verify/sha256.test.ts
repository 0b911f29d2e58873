import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import test from 'node:test';
import { hmacSha256, sameBytes, Sha256, sha256 } from './sha256.ts';

const bytes = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 31 + length) & 0xff));
const expected = (message: Buffer): string => createHash('sha256').update(message).digest('hex');
const hexOf = (digest: Uint8Array): string => Buffer.from(digest).toString('hex');

test('hashes every length around a block as node:crypto does', () => {
  for (const length of [...Array(300).keys(), 4095, 4096, 65_535, 1_000_003])
    assert.equal(hexOf(sha256(bytes(length))), expected(bytes(length)), `${length} bytes`);
});

test('hashes the same however the bytes arrive', () => {
  const message = bytes(517);
  for (let first = 0; first <= 130; first++) {
    for (const second of [0, 1, 63, 64, 65, 128]) {
      const hash = new Sha256()
        .update(message.subarray(0, first))
        .update(message.subarray(first, first + second));
      assert.equal(hexOf(hash.update(message.subarray(first + second)).digest()), expected(message));
    }
  }
});

test('keys an HMAC of every key length around a block as node:crypto does', () => {
  for (let length = 0; length <= 140; length++) {
    const [key, message] = [bytes(length), bytes(1000 - length)];
    assert.equal(hexOf(hmacSha256(key, message)), createHmac('sha256', key).update(message).digest('hex'));
  }
});

test('tells bytes apart by length and by content', () => {
  assert.ok(sameBytes(bytes(40), bytes(40)));
  assert.ok(!sameBytes(bytes(40), bytes(40).subarray(1)));
  assert.ok(!sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
});
