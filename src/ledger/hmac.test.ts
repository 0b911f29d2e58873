import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { hmac, HmacStream } from './hmac.ts';

// RFC 4231 sections 4.2 to 4.4 and 4.6.
const VECTORS = [
  [
    '0b'.repeat(20),
    Buffer.from('Hi There'),
    'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  ],
  [
    Buffer.from('Jefe').toString('hex'),
    Buffer.from('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [
    'aa'.repeat(20),
    Buffer.alloc(50, 0xdd),
    '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  ],
] as const;

test('gives the published values', () => {
  for (const [key, message, expected] of VECTORS) {
    const found = hmac(Buffer.from(key, 'hex'), message, 'base64');
    assert.equal(Buffer.from(found, 'base64').toString('hex'), expected);
  }
});

test('agrees with the runtime over every length around a block, long messages, text and pieces', () => {
  const key = randomBytes(32);
  const expected = (message: Uint8Array | string): string =>
    createHmac('sha256', key).update(message).digest('base64');
  for (const length of [...Array.from({ length: 200 }, (_, i) => i), 65_535, 65_536, 65_537, 300_000]) {
    const message = randomBytes(length);
    assert.equal(hmac(key, message, 'base64'), expected(message));
    const stream = new HmacStream(key);
    for (let at = 0; at < length; at += 61) stream.update(message.subarray(at, at + 61));
    assert.equal(stream.digest('base64'), expected(message));
  }
  for (const text of ['', 'sekisho/c/in', '関所', '\u{1f5ff}'.repeat(20_000)])
    assert.equal(hmac(key, text, 'base64'), expected(text));
});

test('refuses a key that would have to be hashed first', () => {
  assert.throws(() => hmac(Buffer.alloc(65), '', 'base64'), TypeError);
});
