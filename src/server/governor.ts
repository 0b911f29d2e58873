import { SECOND } from '../core/duration.ts';
import { Fault, toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { BundleGate } from '../crossing/bundle-gate.ts';
import type { SiteEvent } from '../ledger/types.ts';
import { adoptBundle, loadRunningBundle } from '../policy/adopt.ts';
import type { Bundle, PolicyEngine } from '../policy/types.ts';
import { judge, type Judged } from './judge.ts';
import { commitAdoption, type LeafOutbox } from './recording.ts';
import type { AdoptedFacts, BundleStore } from './store.ts';

/** The moments of an apply between which a process can end; a test plants its end there. */
export type ApplyStep = 'judged' | 'shut' | 'committed' | 'recorded' | 'adopted' | 'switched';

export interface GovernorOptions {
  readonly engine: PolicyEngine;
  readonly store: BundleStore<SiteEvent>;
  readonly outbox: LeafOutbox;
  /** Where the running bundle lies. */
  readonly folder: string;
  readonly world: World;
  readonly log: Log;
  /** Told of each step; the program never sets it. */
  readonly at?: (step: ApplyStep) => Promise<void>;
}

/** What an apply did. */
export interface Applied {
  readonly version: number;
  readonly hash: string;
  readonly previous: string;
  readonly emergency: boolean;
  readonly signers: readonly string[];
  /** The index of its leaf. */
  readonly leaf: number | null;
}

/** Makes a bundle's endpoints ready; what it gives puts them in force. @throws Fault when they cannot be made. */
export type Prepare = (engine: PolicyEngine) => () => void;
/** Told which bundle runs no more, and how long what it allowed may go on; null is the usual time. */
export type Retire = (bundle: string, graceMs: number | null) => void;

const MAX_WAITING = 8;
const RETRY_MS = SECOND / 4;
/** Whoever applies or asks waits no longer than this for a log that cannot record. */
const PATIENCE_MS = 10 * SECOND;

/** The bundle that runs, and the one way to change it: signed, higher, recorded, then in force. */
export class Governor implements AsyncDisposable {
  readonly gate: BundleGate;
  readonly #options: GovernorOptions;
  readonly #closing = new AbortController();
  readonly #prepares: Prepare[] = [];
  readonly #retires: Retire[] = [];
  #engine: PolicyEngine;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: GovernorOptions) {
    this.#options = options;
    this.#engine = options.engine;
    this.gate = new BundleGate(options.engine.hash);
  }

  /** The engine of the running bundle. */
  get engine(): PolicyEngine {
    return this.#engine;
  }

  /** Is asked before every change, and may refuse it. */
  onChange(prepare: Prepare): void {
    this.#prepares.push(prepare);
  }

  onRetire(retire: Retire): void {
    this.#retires.push(retire);
  }

  async history(): Promise<readonly AdoptedFacts[]> {
    return this.#options.store.history();
  }

  /** The signed file of a version that ran, or null. */
  async file(version: number): Promise<string | null> {
    return this.#options.store.file(version);
  }

  /** Resolves once decisions are made. @throws Fault `ledger.unavailable` when that takes too long. */
  async settled(): Promise<void> {
    try {
      await this.#patiently(this.gate.opened());
    } catch (cause) {
      throw new Fault('unavailable', 'ledger.unavailable', 'the new bundle cannot be recorded', { cause });
    }
  }

  /**
   * Puts a signed bundle in force: judged against what runs, committed with its leaf, recorded, adopted on the disk,
   * switched. One at a time. `immediate` cuts what the old bundle allowed and still runs.
   * @throws Fault as `judge`; `policy.busy`; `policy.changing` when it is committed and takes effect as soon as the
   * log can record it.
   */
  async apply(text: string, { immediate }: { immediate: boolean }): Promise<Applied> {
    if (this.#waiting >= MAX_WAITING) throw new Fault('exhausted', 'policy.busy', 'too many applies wait');
    this.#waiting += 1;
    const applied = this.#last.then(() => this.#applyOne(text, immediate));
    this.#last = applied.catch(() => {}).finally(() => (this.#waiting -= 1));
    return this.#patiently(applied);
  }

  /** Waits for a running apply unless the log keeps it from ending. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }

  async #applyOne(text: string, immediate: boolean): Promise<Applied> {
    const before = this.#engine;
    const judged = await judge(text, before, {
      ranBefore: (hash) => this.#options.store.has(hash),
      now: this.#options.world.clock.now(),
    });
    const switches = this.#prepares.map((prepare) => prepare(judged.engine));
    await this.#at('judged');
    const leaf = await this.#commit(text, before, judged);
    await this.#complete(judged.bundle);
    this.#engine = judged.engine;
    for (const put of switches) put();
    this.gate.open(judged.engine.hash);
    for (const retire of this.#retires) retire(before.hash, immediate ? 0 : null);
    await this.#at('switched');
    const { hash } = judged.engine;
    const { version } = judged.bundle;
    this.#options.log.info('policy.applied', { version, hash, emergency: judged.emergency });
    return {
      version,
      hash,
      previous: before.hash,
      emergency: judged.emergency,
      signers: judged.signers,
      leaf: await this.#options.outbox.indexOf(leaf),
    };
  }

  // Until the commit nothing has changed and the old bundle decides on; from it on the new one runs, come what may.
  async #commit(file: string, before: PolicyEngine, judged: Judged): Promise<string> {
    const { store, world } = this.#options;
    const { bundle, emergency, signers } = judged;
    const { hash } = judged.engine;
    await this.gate.shut();
    try {
      await this.#at('shut');
      const adoption = { bundle, hash, file, previous: before.hash, emergency, signers };
      return await commitAdoption(store, world, adoption);
    } catch (thrown) {
      this.gate.open(before.hash);
      throw thrown;
    }
  }

  // A log or disk that refuses is asked again until it takes the leaf; no request is decided meanwhile.
  async #complete(bundle: Bundle): Promise<void> {
    const { outbox, folder, world, log } = this.#options;
    await this.#at('committed');
    let isAdopted = false;
    while (!isAdopted) {
      this.#closing.signal.throwIfAborted();
      try {
        await outbox.pump();
        await this.#at('recorded');
        // A write that failed only after the bundle was in its place must not be tried again.
        if ((await loadRunningBundle(folder))?.version !== bundle.version) await adoptBundle(folder, bundle);
        isAdopted = true;
      } catch (thrown) {
        log.error('policy.apply_waits', { code: toFault(thrown).code });
        await world.clock.sleep(RETRY_MS, this.#closing.signal);
      }
    }
    await this.#at('adopted');
  }

  async #at(step: ApplyStep): Promise<void> {
    await this.#options.at?.(step);
  }

  async #patiently<T>(work: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const late = async (): Promise<never> => {
      await this.#options.world.clock.sleep(PATIENCE_MS, stop.signal);
      throw new Fault('unavailable', 'policy.changing', 'the new bundle waits for the log to record it');
    };
    try {
      const timeout = late();
      timeout.catch(() => {});
      return await Promise.race([work, timeout]);
    } finally {
      stop.abort();
    }
  }
}
