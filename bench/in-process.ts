import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { testSite, wholeRoad } from '../test/support/ledger-site.ts';
import { ask, sampleEngine } from '../test/support/policy.ts';
import { summarize, type Summary } from './statistics.ts';

const SEGMENT_BYTES = 16 << 20;
const CONCURRENCY = 256;
const DECISIONS = 2_000;
const VERIFICATIONS = 300;

/** Leaves a second that one process makes durable on the disk of temporary files, each made, keyed and proven whole. */
export async function durableEntries(ms: number): Promise<number> {
  await using place = testSite();
  const ledger = await place.open({ segmentBytes: SEGMENT_BYTES });
  const fill = async (forMs: number): Promise<number> => {
    const begun = performance.now();
    const from = ledger.size();
    const worker = async (): Promise<void> => {
      while (performance.now() - begun < forMs) await wholeRoad(ledger);
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    return ((ledger.size() - from) * 1000) / (performance.now() - begun);
  };
  await fill(ms / 4);
  return await fill(ms);
}

/** Microseconds of a decision of the default pack over one endpoint. */
export function policyDecisions(): { readonly memoised: Summary; readonly fresh: Summary } {
  const engine = sampleEngine();
  const time = (id: (i: number) => string): Summary => {
    const times: number[] = [];
    for (let i = 0; i < 2 * DECISIONS; i++) {
      const { caller, ...rest } = ask();
      const input = { ...rest, caller: { ...caller, id: id(i) } };
      const begun = performance.now();
      engine.plan(input);
      if (i >= DECISIONS) times.push((performance.now() - begun) * 1000);
    }
    return summarize(times);
  };
  return { fresh: time((i) => `key-${i}`), memoised: time(() => 'key-0') };
}

/** Milliseconds that a receipt takes to verify offline, with both bodies. */
export async function offlineVerify(evidence: {
  readonly receipt: Buffer;
  readonly vkey: string;
  readonly request: Buffer;
  readonly response: Buffer;
}): Promise<Summary> {
  const { receipt, vkey, request, response } = evidence;
  const times: number[] = [];
  for (let i = 0; i < 2 * VERIFICATIONS; i++) {
    const begun = performance.now();
    const verdict = await verifyReceipt(receipt, { vkeys: [vkey] }, { request, response });
    if (i >= VERIFICATIONS) times.push(performance.now() - begun);
    if (verdict.verdict !== 'valid')
      throw new Error(`a receipt of the site does not verify: ${verdict.verdict}`);
  }
  return summarize(times);
}
