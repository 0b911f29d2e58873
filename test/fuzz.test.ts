import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROPERTIES } from './support/fuzz/properties.ts';
import { fuzzRandom } from './support/fuzz/random.ts';

/** The long suite has fresh seeds; here each run is the same. */
const SEED = 'short';
const CASES = 3_000;

for (const [name, holds] of Object.entries(PROPERTIES))
  test(`${name}: ${CASES} cases hold`, () => {
    for (let run = 0; run < CASES; run++) {
      try {
        holds(fuzzRandom(`${SEED} ${name}`, run));
      } catch (cause) {
        assert.fail(`case ${run}: ${String(cause)}`);
      }
    }
  });
