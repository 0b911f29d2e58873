import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { crockford, systemWorld } from './world.ts';

test('bytes become lower-case Crockford base32, the spare bits first and zero', () => {
  for (const [hex, text] of [
    ['', ''],
    ['00', '00'],
    ['ff', '7z'],
    ['0123456789', '04hmasw9'],
    ['00'.repeat(16), '0'.repeat(26)],
    ['ff'.repeat(16), `7${'z'.repeat(25)}`],
  ] as const)
    assert.equal(crockford(Buffer.from(hex, 'hex')), text);
});

test('no bit of any length is lost', () => {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  for (let length = 1; length < 64; length++) {
    const bytes = randomBytes(length);
    let value = 0n;
    for (const character of crockford(bytes)) value = value * 32n + BigInt(alphabet.indexOf(character));
    assert.equal(value, BigInt(`0x${bytes.toString('hex')}`));
  }
});

test('an id has its prefix and 26 characters', () => {
  assert.match(systemWorld().ids.receipt(), /^r_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
});
