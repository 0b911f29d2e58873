import { createHash } from 'node:crypto';
import { canonicalJson } from '../../core/canonical-json.ts';
import { MINUTE } from '../../core/duration.ts';
import { toFault } from '../../core/fault.ts';
import type { Log } from '../../core/log.ts';
import type { World } from '../../core/world.ts';
import { factsOf, type DecisionFacts, type MadeDecision } from '../../policy/replay.ts';
import type { Database } from '../../storage/database.ts';
import { MAX_DAYS } from './contract.ts';
import { DecisionStore, type DecisionRow, type Retention } from './store.ts';

/** The help of `policy what-if` states both. */
export const RETENTION: Retention = { days: MAX_DAYS, rows: 1_000_000 };

/** Decisions that may wait to be written; more are dropped and counted. */
const MAX_WAITING = 20_000;
/** Few enough that preparing them takes about a millisecond of the requests' time. */
const ROWS_A_BATCH = 250;
const PAUSE_MS = 500;
const PRUNE_EVERY = 10 * MINUTE;
const ID_CHARS = 32;

export interface BookOptions {
  readonly database: Database;
  readonly world: World;
  readonly log: Log;
  /** For tests; the program never sets them. */
  readonly retention?: Retention;
  readonly maxWaiting?: number;
}

/**
 * Keeps what decisions were made from, without content, so that it can be asked later what another bundle would have
 * said. It is written behind the requests: they never wait for it, and what it cannot take is dropped and counted.
 */
export class DecisionBook implements AsyncDisposable {
  readonly store: DecisionStore;
  readonly #options: BookOptions;
  readonly #closing = new AbortController();
  #waiting: MadeDecision[] = [];
  #missed = 0;
  #dropped = 0;
  #running: Promise<void> | null = null;
  #writing: Promise<void> = Promise.resolve();
  #pruned = Number.NEGATIVE_INFINITY;

  private constructor(store: DecisionStore, options: BookOptions) {
    this.store = store;
    this.#options = options;
  }

  static async open(options: BookOptions): Promise<DecisionBook> {
    return new DecisionBook(await DecisionStore.open(options.database), options);
  }

  /** Decisions of this process that are in no row. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes a decision to be written soon. */
  note(decision: MadeDecision): void {
    if (this.#closing.signal.aborted || this.#waiting.length >= (this.#options.maxWaiting ?? MAX_WAITING)) {
      this.#drop(1);
      return;
    }
    this.#waiting.push(decision);
    this.#running ??= this.#run();
  }

  /** Resolves when everything noted before is written or dropped. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#missed > 0) {
      const written = await this.#writeBatch();
      if (!written) return;
    }
    await this.#writing;
  }

  /** Takes the decisions of requests away, written or not; at most 1000 at a time. Gives how many there were. */
  async erase(rids: readonly string[]): Promise<number> {
    const going = new Set(rids);
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((decision) => !going.has(decision.rid));
    const waited = before - this.#waiting.length;
    await this.#writing;
    return waited + (await this.store.erase(rids));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.flush();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options.world;
    const { signal } = this.#closing;
    while (this.#waiting.length > 0 && !signal.aborted) {
      await clock.sleep(PAUSE_MS, signal).catch(() => undefined);
      await this.flush();
      await this.#prune();
    }
    this.#running = null;
  }

  // One after the other: an erasure waits for the batch that may hold its row.
  async #writeBatch(): Promise<boolean> {
    const done = this.#writing.then(async () => this.#writeNow());
    this.#writing = done.then(() => undefined);
    return done;
  }

  async #writeNow(): Promise<boolean> {
    const made = this.#waiting.splice(0, ROWS_A_BATCH);
    const missed = this.#missed;
    try {
      const batch = new FactsOfBatch();
      const rows = made.map((decision) => rowOf(decision, batch.idOf(decision)));
      await this.store.write({ rows, facts: batch.facts, missed, now: this.#options.world.clock.now() });
      this.#missed -= missed;
      return true;
    } catch (thrown) {
      this.#options.log.error('server.decisions_lost', { code: toFault(thrown).code, count: made.length });
      this.#drop(made.length);
      return false;
    }
  }

  async #prune(): Promise<void> {
    const { world, log, retention = RETENTION } = this.#options;
    const at = world.clock.elapsed();
    if (at - this.#pruned < PRUNE_EVERY) return;
    this.#pruned = at;
    try {
      await this.store.prune(retention, world.clock.now());
    } catch (thrown) {
      log.error('server.decisions_not_pruned', { code: toFault(thrown).code });
    }
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#missed += count;
  }
}

function rowOf({ rid, t, bundle, endpoint }: MadeDecision, facts: string): DecisionRow {
  return { rid, t, facts, bundle, effect: endpoint === null ? 'deny' : 'allow', endpoint };
}

/** The facts of the decisions that are written together. Many are made alike, and an id takes a canonical form and a hash. */
class FactsOfBatch {
  readonly facts = new Map<string, DecisionFacts>();
  readonly #ids = new Map<string, string>();

  idOf(made: MadeDecision): string {
    const { model, header, label, purpose, unlisted, approved, caller } = made;
    const key = JSON.stringify([
      model,
      header,
      label,
      purpose,
      unlisted,
      approved,
      caller.tenant,
      caller.roles,
    ]);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const facts = factsOf(made);
    const id = factsId(facts);
    this.#ids.set(key, id);
    this.facts.set(id, facts);
    return id;
  }
}

/** Equal for equal facts. */
export function factsId(facts: DecisionFacts): string {
  const text = canonicalJson({ ...facts });
  return createHash('sha256').update(text).digest('hex').slice(0, ID_CHARS);
}
