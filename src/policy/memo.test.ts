import assert from 'node:assert/strict';
import { test } from 'node:test';

import { IntervalMemo } from './memo.ts';

const always = { from: 0, until: 1e15, weight: 1 };

test('a value holds from its first to before its last moment, also for a clock that stepped back', () => {
  const memo = new IntervalMemo<string>(10);
  memo.set('a', 'x', { from: 100, until: 200, weight: 1 });
  assert.deepEqual(
    [99, 100, 199, 200].map((now) => memo.get('a', now)),
    [undefined, 'x', 'x', undefined],
  );
});

test('the sum of weights never exceeds the capacity, and what is used stays longest', () => {
  const memo = new IntervalMemo<number>(100);
  memo.set('kept', 1, always);
  for (let i = 0; i < 10_000; i++) {
    memo.set(`other-${i}`, i, { ...always, weight: (i % 7) + 1 });
    assert.equal(memo.get('kept', 5), 1);
    assert.ok(memo.weight <= 100);
  }
});

test('replacing a value does not count it twice, and one that is too heavy is not kept', () => {
  const memo = new IntervalMemo<number>(3);
  memo.set('a', 1, always);
  memo.set('a', 2, { ...always, weight: 2 });
  assert.equal(memo.weight, 2);
  memo.set('b', 3, { ...always, weight: 4 });
  assert.ok(memo.weight <= 3);
  assert.equal(memo.get('b', 1), undefined);
});
