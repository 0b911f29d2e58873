import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NEVER, parseInstant } from './instant.ts';

test('agrees with the calendar of the platform on every day of many years', () => {
  for (let at = 0; at < Date.UTC(2101, 0, 1); at += 86_400_000) {
    const date = new Date(at).toISOString().slice(0, 10);
    assert.equal(parseInstant(date), at, date);
  }
});

test('reads offsets', () => {
  for (const text of ['2027-03-31T23:59:59Z', '2027-03-31T00:00:00+09:00', '2024-02-29T12:00:00-05:30'])
    assert.equal(parseInstant(text), Date.parse(text));
  assert.equal(parseInstant('9999-12-31'), NEVER);
});

test('refuses what is not a date', () => {
  const wrong = [
    '',
    '2027',
    '2027-3-1',
    '2027-02-29',
    '2100-02-29',
    '2027-13-01',
    '2027-00-10',
    '2027-04-31',
  ];
  const times = [
    '2027-01-01T24:00:00Z',
    '2027-01-01T00:00:00',
    '2027-01-01T00:00:60Z',
    '2027-01-01T00:00:00+25:00',
  ];
  for (const text of [...wrong, ...times, '1969-12-31', '2027-01-01 ', '２０２７-01-01'])
    assert.equal(parseInstant(text), null, text);
});
