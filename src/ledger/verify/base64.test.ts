import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeBase64 } from './base64.ts';

test('decodes every length as Buffer does', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 97 + length) & 0xff));
    assert.deepEqual(Buffer.from(decodeBase64(bytes.toString('base64')) ?? []), bytes);
  }
});

const REFUSED = [
  ['spare bits after one byte', 'AB=='],
  ['spare bits after two bytes', 'AAB='],
  ['no padding', 'AA'],
  ['half the padding', 'AA='],
  ['padding alone', '===='],
  ['three pads', 'A==='],
  ['padding inside', 'AA==AAAA'],
  ['text after the padding', 'AA==A'],
  ['a space', 'AA A'],
  ['a newline at the end', 'AAAA\n'],
  ['the URL alphabet', '-_AA'],
  ['a letter beyond ASCII', 'AAA\u0141'],
  ['a NUL', 'AAA\0'],
] as const;

for (const [what, text] of REFUSED)
  test(`refuses base64 with ${what}`, () => assert.equal(decodeBase64(text), null));

test('gives each text of four characters at most one meaning', () => {
  const digits = 'ABC/+w=';
  for (const text of Array.from({ length: digits.length ** 4 }, (_, n) => pick(digits, n))) {
    const bytes = decodeBase64(text);
    if (bytes !== null) assert.equal(Buffer.from(bytes).toString('base64'), text);
    else assert.notEqual(Buffer.from(text, 'base64').toString('base64'), text);
  }
});

function pick(digits: string, n: number): string {
  return [0, 1, 2, 3]
    .map((place) => digits.charAt(Math.floor(n / digits.length ** place) % digits.length))
    .join('');
}
