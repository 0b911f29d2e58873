import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restAfter, retryHint, waitBefore } from './retry.ts';

const NOW = Date.parse('Fri, 27 Nov 2026 00:00:00 GMT');

test('reads both forms of retry-after, and the milliseconds before either', () => {
  assert.equal(retryHint({ 'retry-after': '3' }, NOW), 3000);
  assert.equal(retryHint({ 'retry-after': 'Fri, 27 Nov 2026 00:00:07 GMT' }, NOW), 7000);
  assert.equal(retryHint({ 'retry-after': 'Thu, 26 Nov 2026 00:00:00 GMT' }, NOW), 0);
  assert.equal(retryHint({ 'retry-after': '9', 'retry-after-ms': '20.4' }, NOW), 21);
  assert.equal(retryHint({}, NOW), null);
});

test('takes what it cannot read for no hint', () => {
  for (const text of [
    '',
    '-1',
    '1e9',
    'soon',
    '1.5',
    '99999999999999',
    'Fri, 99 Nov 2026 00:00:00 GMT',
    '２',
  ])
    assert.equal(retryHint({ 'retry-after': text }, NOW), null, text);
  assert.equal(retryHint({ 'retry-after-ms': 'NaN' }, NOW), null);
});

test('waits at least as long as was asked, else a random time below a bound that doubles and ends', () => {
  assert.equal(waitBefore(1, 500, 0), 500);
  assert.ok(waitBefore(1, 500, 0.99) > 500 && waitBefore(1, 500, 0.99) < 551);
  assert.equal(waitBefore(1, null, 0), 0);
  assert.deepEqual(
    [1, 2, 3, 5, 6, 60].map((attempt) => waitBefore(attempt, null, 0.5)),
    [50, 100, 200, 800, 1000, 1000],
  );
});

test('an endpoint that limits rests for as long as it asks, within a bound', () => {
  assert.equal(restAfter(429, null), 1000);
  assert.equal(restAfter(429, 5000), 5000);
  assert.equal(restAfter(503, 5000), 5000);
  assert.equal(restAfter(503, null), 0);
  assert.equal(restAfter(429, 1e9), 60_000);
  assert.equal(restAfter(500, 5000), 0);
  assert.equal(restAfter(null, 5000), 0);
});
