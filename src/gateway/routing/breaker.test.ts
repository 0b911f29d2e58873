import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admits, afterAttempt, CLOSED, type Breaker, type Health } from './breaker.ts';

const terms = { failures: 3, pauseMs: 1000 };

function after(breaker: Breaker, health: Health, now = 0, probe = false): Breaker {
  return afterAttempt(breaker, { probe, health }, { now, terms });
}

test('opens after failures in a row, and a good answer in between starts the count anew', () => {
  let breaker = after(after(CLOSED, 'bad'), 'bad');
  assert.equal(admits(breaker, 0), 'yes');
  breaker = after(after(after(breaker, 'good'), 'bad'), 'bad');
  assert.equal(admits(breaker, 0), 'yes');
  breaker = after(breaker, 'bad', 500);
  assert.deepEqual(breaker, { kind: 'open', until: 1500 });
  assert.equal(admits(breaker, 1499), 'no');
  assert.equal(admits(breaker, 1500), 'probe');
});

test('what says nothing about the endpoint changes nothing', () => {
  const breaker = after(CLOSED, 'bad');
  assert.equal(after(breaker, 'neither'), breaker);
});

test('while one request probes, nobody else is let through', () => {
  assert.equal(admits({ kind: 'probing' }, 1e12), 'no');
});

test('the probe alone closes it, or opens it again', () => {
  const probing: Breaker = { kind: 'probing' };
  assert.equal(after(probing, 'good', 0, true), CLOSED);
  assert.deepEqual(after(probing, 'bad', 2000, true), { kind: 'open', until: 3000 });
  assert.equal(after(probing, 'good', 2000, false), probing, 'it set out before the breaker opened');
  const open: Breaker = { kind: 'open', until: 1000 };
  assert.equal(after(open, 'good', 500, false), open);
});

test('a probe whose client left lets the next one probe at once', () => {
  const breaker = after({ kind: 'probing' }, 'neither', 2000, true);
  assert.equal(admits(breaker, 2000), 'probe');
});
