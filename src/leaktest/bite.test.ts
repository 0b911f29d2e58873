import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { systemWorld } from '../core/world.ts';
import { CASES } from './catalogue.ts';
import { runSuite } from './suite.ts';
import { leakyTarget } from './target/leaky.ts';
import { sekishoTarget } from './target/sekisho.ts';
import type { Result } from './case.ts';
import type { Target } from './types.ts';
import { openWorld } from './world/world.ts';

const PROGRAM = path.join(import.meta.dirname, '..', 'cli', 'main.ts');

test('every case that applies fails against a proxy that leaks, by something that arrived or was kept', async () => {
  const results = await run(leakyTarget);
  for (const { case: one, outcome, findings, reason } of applicable(results)) {
    assert.equal(outcome, 'fail', `${one.id}: ${reason?.en ?? 'nothing was found'}`);
    assert.ok(
      findings.some(({ kind }) => kind === 'leak'),
      one.id,
    );
  }
  assert.ok(applicable(results).length >= 19);
});

test('Sekisho passes every case that applies, and what does not apply says why', async () => {
  const results = await run(sekishoTarget({ program: PROGRAM, searchPath: process.env['PATH'] ?? '' }));
  for (const { case: one, outcome, findings, reason } of results) {
    const told = `${one.id}: ${reason?.en ?? ''} ${findings.map(({ text }) => text).join('; ')}`;
    if (typeof one.run === 'function') assert.equal(outcome, 'pass', told);
    else assert.deepEqual([outcome, reason], ['not-applicable', one.run], told);
  }
});

test('each case has a number and an id of its own, and says everything in both languages', () => {
  for (const name of ['id', 'number'] as const)
    assert.equal(new Set(CASES.map((one) => one[name])).size, CASES.length);
  for (const { title, why, how, check, source, version } of CASES) {
    for (const text of [title, why, how, check]) assert.ok(text.ja !== '' && text.en !== '');
    assert.match(version, /^\d{4}-\d{2}-\d{2}$/);
    assert.notEqual(source, '');
  }
});

async function run(target: Target): Promise<readonly Result[]> {
  await using far = await openWorld(0);
  const { signal } = new AbortController();
  return await runSuite({ cases: CASES, target, far, world: systemWorld(), signal, onResult: () => {} });
}

function applicable(results: readonly Result[]): readonly Result[] {
  return results.filter(({ case: one }) => typeof one.run === 'function');
}
