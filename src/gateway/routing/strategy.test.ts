import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STRATEGIES } from '../../policy/types.ts';
import { choose, type Choice } from './strategy.ts';

const MINUTE = 60_000;

function choice(facts: Partial<Choice> = {}): Choice {
  return { weight: 1, price: null, load: 0, tookMs: null, measuredAt: 0, ...facts };
}

function at(random: number, now = 0): { now: number; random: () => number } {
  return { now, random: () => random };
}

test('order takes the first', () => {
  assert.equal(choose('order', [choice({ price: 9, load: 5 }), choice({ price: 1 })], at(0.99)), 0);
});

test('weighted follows the weights', () => {
  const choices = [choice({ weight: 1 }), choice({ weight: 3 }), choice({ weight: 6 })];
  const drawn = [0, 0, 0];
  for (let i = 0; i < 1000; i++) {
    const place = choose('weighted', choices, at(i / 1000));
    drawn[place] = (drawn[place] ?? 0) + 1;
  }
  assert.deepEqual(drawn, [100, 300, 600]);
});

test('cheapest takes the lowest price, the first of equals, and an unknown price last', () => {
  assert.equal(choose('cheapest', [choice(), choice({ price: 3 }), choice({ price: 2 })], at(0)), 2);
  assert.equal(choose('cheapest', [choice({ price: 2 }), choice({ price: 2 })], at(0.9)), 0);
  assert.equal(choose('cheapest', [choice(), choice()], at(0.9)), 0);
  assert.equal(choose('cheapest', [choice(), choice({ price: 0 })], at(0)), 1);
});

test('fastest takes what answered sooner of late', () => {
  const now = MINUTE;
  const slow = choice({ tookMs: 900, measuredAt: now });
  const quick = choice({ tookMs: 200, measuredAt: now });
  assert.equal(choose('fastest', [slow, quick], at(0, now)), 1);
});

test('fastest sends one request at a time to find out what is not known', () => {
  const known = choice({ tookMs: 200, measuredAt: 0 });
  assert.equal(choose('fastest', [known, choice()], at(0)), 1);
  assert.equal(choose('fastest', [known, choice({ load: 1 })], at(0)), 0);
});

test('fastest tries again what was slow a while ago', () => {
  const quick = choice({ tookMs: 200, measuredAt: 5 * MINUTE });
  const slow = choice({ tookMs: 1600, measuredAt: 0 });
  assert.equal(choose('fastest', [{ ...quick, measuredAt: 2 * MINUTE }, slow], at(0, 2 * MINUTE)), 0);
  assert.equal(choose('fastest', [quick, slow], at(0, 5 * MINUTE)), 1);
  assert.equal(choose('fastest', [quick, { ...slow, load: 1 }], at(0, 5 * MINUTE)), 0);
});

test('balanced takes the least load for its weight, and shares what is equal by weight', () => {
  assert.equal(choose('balanced', [choice({ load: 2 }), choice({ load: 1 })], at(0)), 1);
  assert.equal(choose('balanced', [choice({ load: 3, weight: 4 }), choice({ load: 1 })], at(0)), 0);
  const equal = [choice({ weight: 1 }), choice({ weight: 3 })];
  assert.equal(choose('balanced', equal, at(0.2)), 0);
  assert.equal(choose('balanced', equal, at(0.3)), 1);
});

test('every strategy gives a place among its choices', () => {
  for (const strategy of STRATEGIES)
    for (const count of [1, 2, 5])
      for (const random of [0, 0.5, 0.999_999]) {
        const choices = Array.from({ length: count }, (_, i) => choice({ weight: 1 + i, load: i }));
        const place = choose(strategy, choices, at(random));
        assert.ok(choices[place] !== undefined, `${strategy} of ${count}`);
      }
});
