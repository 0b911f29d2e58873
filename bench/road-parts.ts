import { BundleGate } from '../src/crossing/bundle-gate.ts';
import { Road, type Attempt } from '../src/crossing/road.ts';
import { OpenRoad } from '../src/ledger/roads.ts';
import { systemWorld } from '../src/core/world.ts';
import type { Ledger } from '../src/ledger/types.ts';
import { OWNER, testSite } from '../test/support/ledger-site.ts';
import { ask, decided, sampleEngine } from '../test/support/policy.ts';
import { cpuSince, type Part } from './cpu.ts';

interface Bodies {
  readonly request: Buffer;
  readonly answer: Buffer;
}

/** As many as a site records at once under load, since they share syncs. */
const AT_ONCE = 32;
const GROUPS = 200;
const ROADS_ALONE = 1_000;
const SEGMENT_BYTES = 16 << 20;

/** The CPU that the ledger and the road take of a request, waiting for the disk left out as it uses none. */
export async function roadParts(bodies: Bodies): Promise<readonly Part[]> {
  await using place = testSite();
  const ledger = await place.open({ segmentBytes: SEGMENT_BYTES });
  const many = await measure(ledger, bodies, { groups: GROUPS, atOnce: AT_ONCE });
  const alone = await measure(ledger, bodies, { groups: ROADS_ALONE, atOnce: 1 });
  const part = (name: string, of: keyof Micros): Part => ({ name, many: many[of], alone: alone[of] });
  return [
    part('request key drawn, wrapped and stored', 'key'),
    part('decision and its commitments', 'decision'),
    part('outcome and its commitments', 'outcome'),
    part('write and append both leaves: log, tree, tiles, index', 'append'),
  ];
}

interface Micros {
  key: number;
  decision: number;
  outcome: number;
  append: number;
}

async function measure(
  ledger: Ledger,
  bodies: Bodies,
  { groups, atOnce }: { groups: number; atOnce: number },
): Promise<Micros> {
  const bench = new RoadBench(ledger, bodies, atOnce);
  for (let i = 0; i < groups / 4; i++) await bench.group();
  bench.micros = { key: 0, decision: 0, outcome: 0 };
  const before = process.cpuUsage();
  for (let i = 0; i < groups; i++) await bench.group();
  const all = cpuSince(before);
  const { key, decision, outcome } = bench.micros;
  const each = (micros: number): number => micros / (groups * atOnce);
  return {
    key: each(key),
    decision: each(decision),
    outcome: each(outcome),
    // What the worker of the index and the rounds of tiles take meanwhile belongs here.
    append: each(all - key - decision - outcome),
  };
}

/** Takes a group of requests down the road step by step, so that each step can be timed alone. */
class RoadBench {
  micros = { key: 0, decision: 0, outcome: 0 };
  readonly #ledger: Ledger;
  readonly #bodies: Bodies;
  readonly #atOnce: number;
  readonly #world = systemWorld();
  readonly #engine = sampleEngine();
  readonly #gate = new BundleGate(this.#engine.hash);
  readonly #decision = decided(this.#engine);
  #held: (() => void)[] = [];

  constructor(ledger: Ledger, bodies: Bodies, atOnce: number) {
    this.#atOnce = atOnce;
    this.#ledger = ledger;
    this.#bodies = bodies;
  }

  async group(): Promise<void> {
    const keys: OpenRoad[] = [];
    const ledger = this.#holding(keys);
    let before = process.cpuUsage();
    const roads = Array.from({ length: this.#atOnce }, () => this.#road(ledger));
    await Promise.all(keys.map((one) => one.makeDurable()));
    this.micros.key += cpuSince(before);
    before = process.cpuUsage();
    const deciding = roads.map((road) => road.attempt(this.#decision, this.#bodies.request));
    this.micros.decision += cpuSince(before);
    this.#release();
    const attempts = await Promise.all(deciding);
    before = process.cpuUsage();
    const closing = attempts.map((attempt) => this.#close(attempt));
    this.micros.outcome += cpuSince(before);
    this.#release();
    await Promise.all(closing);
  }

  #road(ledger: Ledger): Road {
    const { label, action, model, purpose } = ask();
    return new Road(ledger, {
      rid: this.#world.ids.receipt(),
      surface: 'openai',
      action,
      model,
      caller: { id: OWNER.caller, tenant: OWNER.tenant, roles: ['caller'] },
      label,
      purpose,
      input: this.#bodies.request,
      bundle: this.#engine.hash,
      gate: this.#gate,
      considered: [this.#decision],
    });
  }

  #close(attempt: Attempt): Promise<void> {
    const commitment = attempt.responseCommitment();
    commitment.update(this.#bodies.answer);
    const result = { status: 'ok', code: null, http: 200, res: commitment.digest() } as const;
    const bytes = { sent: this.#bodies.request.length, received: this.#bodies.answer.length };
    return attempt.close({ ...result, ...bytes }, { roadEnds: true });
  }

  // Commitments are made when the road hands its leaves over; the leaves are appended when the group says so.
  #holding(keys: OpenRoad[]): Ledger {
    const ledger = this.#ledger;
    const held = this.#held;
    return Object.create(ledger, {
      origin: { value: ledger.origin },
      time: { value: () => ledger.time() },
      openRoad: {
        value: (...args: Parameters<Ledger['openRoad']>) => {
          const opened = ledger.openRoad(...args);
          if (opened instanceof OpenRoad) keys.push(opened);
          return opened;
        },
      },
      appendRoad: {
        value: (...args: Parameters<Ledger['appendRoad']>) =>
          new Promise<number>((resolve, reject) => {
            held.push(() => void ledger.appendRoad(...args).then(resolve, reject));
          }),
      },
    });
  }

  #release(): void {
    for (const append of this.#held.splice(0)) append();
  }
}
