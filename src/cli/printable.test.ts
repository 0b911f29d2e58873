import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable, printableText } from './printable.ts';

test('nothing that a terminal obeys is left, and what is readable stays as it is', () => {
  const hostile = '\u001b[2Ja\rb\u009bc\u202ed\u2028e\ud800';
  const shown = '\\u001b[2Ja\\u000db\\u009bc\\u202ed\\u2028e\\ud800';
  assert.equal(printable(hostile), shown);
  assert.equal(printableText(hostile), shown);
  const text = '東京 क\u200dष\tまた\n明日';
  assert.equal(printableText(text), text);
  assert.equal(printable('a\nb\tc'), 'a\\u000ab\\u0009c');
});
