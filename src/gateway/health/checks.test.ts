import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../core/fault.ts';
import { silentLog } from '../../core/log.ts';
import { systemWorld } from '../../core/world.ts';
import type { ControlRoad } from '../../crossing/control.ts';
import { HealthChecks, type ProviderHealth } from './checks.ts';
import type { HealthTarget } from './targets.ts';

const { clock } = systemWorld();
const TARGET: HealthTarget = {
  provider: 'jp-a',
  bundle: 'sha256:b1',
  endpoints: ['jp-a/m', 'jp-a/n'],
  destination: {
    name: 'health:jp-a',
    network: { url: 'http://127.0.0.1', hosts: [], addresses: [], pins: [], issuer: null, proxy: null },
    sends: { method: 'GET', path: '/health', maxBytes: 0 },
    to: null,
    expires: null,
  },
  credentials: () => ({}),
};

/** Checks as fast as they come until there were a few, and what became of them. */
async function checked(
  ask: ControlRoad['ask'],
): Promise<{ readonly state: ProviderHealth | undefined; readonly told: readonly string[] }> {
  const told: string[] = [];
  const enough = Promise.withResolvers<void>();
  let rounds = 0;
  await using checks = new HealthChecks({
    control: { ask },
    clock,
    log: silentLog,
    router: {
      terms: { health: { everyMs: 1, timeoutMs: 20, failures: 3 } },
      gate: (endpoint) => ({ checked: (well: boolean) => told.push(`${endpoint} ${well}`) }),
    },
    targets() {
      rounds += 1;
      if (rounds > 4) enough.resolve();
      return [TARGET];
    },
  });
  checks.start();
  await enough.promise;
  return { state: checks.states()[0], told };
}

test('a place that never answers has failed once the time is over, and counts from the third time on', async () => {
  const { state, told } = await checked(
    async (_destination, _bundle, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('given up')));
      }),
  );
  assert.deepEqual(state, {
    provider: 'jp-a',
    state: 'failing',
    detail: 'no answer within 20 ms',
    failures: 4,
  });
  assert.deepEqual(told, ['jp-a/m false', 'jp-a/n false', 'jp-a/m false', 'jp-a/n false']);
});

for (const [code, expected] of [
  ['egress.unreachable', 'failing'],
  ['egress.interrupted', 'failing'],
  ['egress.garbage', 'failing'],
  ['egress.denied', 'unclear'],
  ['ledger.unavailable', 'unclear'],
  ['crossing.control_expired', 'unclear'],
] as const)
  test(`${code} is ${expected}`, async () => {
    const { state, told } = await checked(async () => {
      throw new Fault('unavailable', code, 'because');
    });
    assert.deepEqual([state?.state, state?.detail], [expected, 'because']);
    assert.equal(told.length, expected === 'failing' ? 4 : 0);
  });

for (const [status, expected] of [
  [200, 'well'],
  [204, 'well'],
  [401, 'unclear'],
  [404, 'unclear'],
  [429, 'unclear'],
  [500, 'failing'],
  [503, 'failing'],
] as const)
  test(`an answer of ${status} is ${expected}`, async () => {
    const { state } = await checked(async () => ({ status, headers: {}, body: Buffer.alloc(0) }));
    assert.equal(state?.state, expected);
  });
