import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admits, afterAttempt, afterCheck, CLOSED, type Breaker, type Health } from './breaker.ts';

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

test('a health check opens it for a pause, and a good one lets the next request try, but closes nothing', () => {
  const check = (breaker: Breaker, well: boolean, now: number): Breaker =>
    afterCheck(breaker, well, { now, terms });
  const counting: Breaker = { kind: 'closed', failures: 2 };
  assert.equal(check(counting, true, 0), counting);
  const open = check(counting, false, 500);
  assert.deepEqual(open, { kind: 'open', until: 1500 });
  assert.deepEqual(check(open, false, 1000), { kind: 'open', until: 2000 });
  const trying = check(open, true, 700);
  assert.equal(admits(trying, 700), 'probe');
  const probing: Breaker = { kind: 'probing' };
  assert.equal(check(probing, false, 0), probing);
  assert.equal(check(probing, true, 0), probing);
});
