import { availableParallelism } from 'node:os';
import { loopbackProvider } from '../test/support/governance.ts';
import { startProvider } from '../test/support/provider.ts';
import { startSite } from '../test/support/site.ts';
import { measureDiskSync } from './disk.ts';
import { closedLoop, cpuMicroseconds, openLoop, receiptLatency } from './load.ts';
import { ms } from './statistics.ts';

const ROUNDS = 3;
const ROUND_MS = 3_000;
const STEADY_PER_SECOND = 500;
const STEADY_MS = 5_000;
const RECEIPTS = 200;

// The provider, the load and the site share this machine, so that only ratios and CPU times carry over to others.
const disk = measureDiskSync();
console.log(`cores ${availableParallelism()}, disk sync p50 ${ms(disk.p50)} p99 ${ms(disk.p99)}`);
await using provider = await startProvider();
await using site = await startSite({
  governance: {
    providers: [loopbackProvider({ id: 'near', url: provider.url, models: { scripted: 'c2' } })],
    models: { chat: { from: [{ endpoint: 'near/scripted' }] } },
  },
});
const direct = { origin: provider.url, key: 'none', model: 'scripted' };
const through = { origin: site.url, key: site.adminKey, model: 'chat' };

await closedLoop(direct, ROUND_MS);
await closedLoop(through, ROUND_MS);
for (let round = 1; round <= ROUNDS; round++) {
  const straight = await closedLoop(direct, ROUND_MS);
  const before = cpuMicroseconds(site.pid);
  const governed = await closedLoop(through, ROUND_MS);
  const cpu = (cpuMicroseconds(site.pid) - before) / governed.latency.count;
  console.log(
    `round ${round}: direct ${straight.perSecond.toFixed(0)}/s, through Sekisho ${governed.perSecond.toFixed(0)}/s ` +
      `(p50 ${ms(governed.latency.p50)}, p99 ${ms(governed.latency.p99)}), ${cpu.toFixed(0)} µs CPU a request`,
  );
}

const plain = await openLoop(direct, STEADY_PER_SECOND, STEADY_MS);
const added = await openLoop(through, STEADY_PER_SECOND, STEADY_MS);
console.log(
  `at a steady ${STEADY_PER_SECOND}/s: direct p50 ${ms(plain.p50)} p99 ${ms(plain.p99)}, ` +
    `added p50 ${ms(added.p50 - plain.p50)} p99 ${ms(added.p99 - plain.p99)}`,
);
const receipts = await receiptLatency(through, RECEIPTS);
console.log(`receipt with proof: p50 ${ms(receipts.p50)} p99 ${ms(receipts.p99)}`);
