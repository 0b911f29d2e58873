import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AT, domesticRecord, sampleEngine, type Variation } from '../../test/support/policy.ts';
import { DAY } from '../core/duration.ts';
import { recordChecks } from './ready.ts';

function warnings(record: Variation['record'] = {}): readonly string[] {
  const { endpoints } = sampleEngine(record === undefined ? {} : { record });
  return recordChecks(endpoints, AT).map(({ name, state, detail }) => `${name} ${state} ${detail}`);
}

const evidence = (expires: number): Variation['record'] => ({
  expires: AT + 90 * DAY,
  evidence: [{ document: 'ISMAP', digest: `sha256:${'0'.repeat(64)}`, expires }],
});

test('a record that holds for more than 30 days, or is not there, is not warned of', () => {
  assert.deepEqual(warnings({ expires: AT + 31 * DAY }), []);
  assert.deepEqual(warnings(null), []);
});

test('a record warns from 30 days before its end, and says which file to renew', () => {
  assert.equal(domesticRecord.expires, AT + 30 * DAY);
  const [soon = ''] = warnings();
  assert.match(soon, /^endpoint outside\/m warning its residency record expires in 30 days; /);
  assert.match(soon, /governance\/providers\/outside\.yaml.*build, sign and apply$/);
  assert.match(warnings({ expires: AT }).join(), /its residency record has expired; /);
});

test('evidence inside a record that holds warns by its own date, by name, with the fix', () => {
  assert.deepEqual(warnings(evidence(AT + 31 * DAY)), []);
  const [soon = ''] = warnings(evidence(AT + 5 * DAY));
  assert.match(soon, /its evidence "ISMAP" expires in 5 days; put the new document's digest and date/);
  assert.match(warnings(evidence(AT)).join(), /its evidence "ISMAP" has expired; /);
});
