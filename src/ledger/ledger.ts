import { DAY } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Anchor } from './anchor.ts';
import type { Checkpoints } from './checkpoints.ts';
import { GroupCommit, type Appendable } from './commit.ts';
import type { EndedLog } from './ended-log.ts';
import type { LogKey } from './key.ts';
import { encodeLeaf, MAX_ENTRY_BYTES, type OutcomeLeaf, type RoadLeaf } from './leaf.ts';
import type { LeafClock } from './leaf-clock.ts';
import { eraseInLogs, surveyLogs, type KeyFiles } from './erase-many.ts';
import { factsOfLeaf, type LeafFacts } from './leaf-facts.ts';
import { Maintenance } from './maintenance.ts';
import type { LedgerOptions } from './options.ts';
import type { RoadIndex } from './road-index.ts';
import { RoadReader } from './road-reader.ts';
import { newRoadState, type RoadState } from './road-state.ts';
import { OpenRoad, type RoadFile } from './roads.ts';
import { endedLeaf, type LogEnd } from './rotation.ts';
import type { TiledLog } from './tiled-log.ts';
import { Troubles } from './troubles.ts';
import type {
  Erased,
  ErasureScope,
  ErasureSurvey,
  Ledger,
  LeafChoice,
  OpenedField,
  Receipt,
  RoadKeys,
  RoadOwner,
  ServedLog,
  SiteEvent,
  UnfinishedDecision,
} from './types.ts';
import type { Wal } from './wal.ts';

/** The opened parts of a log, as recovery left them. */
export interface LedgerParts {
  readonly key: LogKey;
  readonly anchor: Anchor | null;
  readonly wal: Wal;
  readonly log: TiledLog;
  readonly roads: RoadFile;
  readonly index: RoadIndex;
  readonly checkpoints: Checkpoints;
  readonly clock: LeafClock;
  readonly unfinished: readonly UnfinishedDecision[];
  /** The logs before this one, the latest first. */
  readonly ended: readonly EndedLog[];
  /** Everything that is to be closed after the log itself. */
  readonly resources: AsyncDisposable;
}

interface Append extends Appendable {
  readonly leaf: LeafFacts;
  readonly road: RoadState | null;
}

/** A site's log at work; see `openLedger`. */
export class SiteLedger implements Ledger {
  readonly #options: LedgerOptions;
  readonly #parts: LedgerParts;
  readonly #troubles: Troubles;
  readonly #commit: GroupCommit<Append>;
  readonly #maintenance: Maintenance;
  readonly #states = new WeakMap<OpenRoad, RoadState>();
  readonly #unfinished: Map<number, UnfinishedDecision>;
  readonly #roads: RoadReader;
  #hasEnded = false;

  constructor(options: LedgerOptions, parts: LedgerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#troubles = new Troubles(options.log);
    this.#unfinished = new Map(parts.unfinished.map((one) => [one.index, one]));
    this.#commit = new GroupCommit({
      wal: parts.wal,
      world: options.world,
      onDurable: (index, item) => this.#onDurable(index, item),
      onTrouble: (reason) => this.#troubles.set('disk', reason),
    });
    this.#maintenance = new Maintenance({ ...parts, world: options.world, troubles: this.#troubles });
    this.#roads = new RoadReader(parts.index, parts.roads, { origin: this.origin, ...parts });
  }

  get origin(): string {
    return this.#parts.key.signer.vkey.name;
  }

  get logId(): string {
    return this.#parts.key.logId;
  }

  get vkey(): string {
    return this.#parts.key.vkey;
  }

  openRoad(rid: string, owner: RoadOwner): RoadKeys {
    const road = this.#parts.roads.openRoad(rid, owner);
    const state = newRoadState(rid);
    this.#states.set(road, state);
    // What is refused must not make the index late, or refusing would never end; `appendRoad` keeps what is taken.
    if (this.trouble() === null) this.#parts.index.keep(state, road.slot);
    return road;
  }

  async appendRoad(keys: RoadKeys, leaf: RoadLeaf, beside = false): Promise<number> {
    const road = keys instanceof OpenRoad ? this.#states.get(keys) : undefined;
    if (!(keys instanceof OpenRoad) || road === undefined)
      throw new Fault('invalid', 'ledger.bad_road', 'the keys are those of another log');
    if (leaf.rid !== keys.rid)
      throw new Fault('invalid', 'ledger.bad_leaf', 'the leaf belongs to another road');
    const entry = this.#admit(encodeLeaf(leaf));
    // The key is durable before the leaf is so much as written: a leaf whose commitments nobody can open proves little.
    if (!keys.isDurable) await this.#storeKey(keys);
    this.#parts.index.keep(road, keys.slot);
    return this.#commit.append({ entry, leaf: factsOfLeaf(leaf), road }, beside);
  }

  async appendRecovered(leaf: OutcomeLeaf): Promise<number> {
    const entry = this.#admit(encodeLeaf(leaf));
    const road = await this.#parts.index.find(leaf.rid);
    if (road === null)
      throw new Fault('invalid', 'ledger.bad_leaf', 'expected an outcome of a road of this log');
    return this.#commit.append({ entry, leaf: factsOfLeaf(leaf), road });
  }

  async appendSite(leaf: SiteEvent): Promise<number> {
    const t = this.time();
    const entry = this.#admit(encodeLeaf({ ...leaf, v: 1, log: this.origin, t }));
    return this.#commit.append({ entry, leaf: { kind: 'site', id: leaf.id, t }, road: null });
  }

  async findSite(id: string, from: number): Promise<number | null> {
    return this.#parts.index.findSite(id, from);
  }

  size(): number {
    return this.#parts.log.size;
  }

  time(): number {
    return this.#parts.clock.time();
  }

  trouble(): string | null {
    return this.#troubles.first() ?? this.#parts.clock.trouble();
  }

  anchored(): boolean {
    return this.#parts.anchor !== null;
  }

  async unfinished(): Promise<readonly UnfinishedDecision[]> {
    return [...this.#unfinished.values()];
  }

  async owner(rid: string): Promise<RoadOwner | null> {
    return (await this.#roadsWith(rid)).owner(rid);
  }

  async receipt(rid: string): Promise<Receipt | null> {
    return (await this.#roadsWith(rid)).receipt(rid);
  }

  async erase(rid: string): Promise<void> {
    await (await this.#roadsWith(rid)).erase(rid);
  }

  survey(scope: ErasureScope): Promise<ErasureSurvey> {
    return surveyLogs(this.#keyFiles(), scope);
  }

  async eraseAll(
    scope: ErasureScope,
    order: { size: number; leaving: (rids: readonly string[]) => Promise<void> },
  ): Promise<Erased> {
    return eraseInLogs(this.#keyFiles(), scope, order);
  }

  async opening(rid: string): Promise<Partial<Record<OpenedField, string>> | null> {
    return (await this.#roadsWith(rid)).opening(rid);
  }

  async proof(rid: string, choice: LeafChoice): Promise<string | null> {
    return (await this.#roadsWith(rid)).proof(rid, choice);
  }

  async waitClosed(rid: string, ms: number, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const stop = new AbortController();
    // Listening begins before the look at the road, so that no closing falls between the two.
    const forget = this.#parts.index.onClosed(rid, () => resolve(true));
    try {
      if (await this.#parts.index.isClosed(rid)) return true;
      const timeout = this.#options.world.clock.sleep(ms, AbortSignal.any([signal, stop.signal]));
      return await Promise.race([promise, timeout.then(() => false)]);
    } finally {
      forget();
      stop.abort();
    }
  }

  async checkpoint(): Promise<string> {
    return (this.#parts.checkpoints.last ?? (await this.#parts.checkpoints.atLeast(0))).note;
  }

  async tile(path: string): Promise<Buffer | null> {
    return this.#parts.log.tile(path, this.#parts.checkpoints.last?.size ?? 0);
  }

  logs(): readonly ServedLog[] {
    const { origin, logId, vkey } = this;
    const own: ServedLog = {
      origin,
      logId,
      vkey,
      ended: false,
      checkpoint: () => this.checkpoint(),
      tile: (path) => this.tile(path),
    };
    return [own, ...this.#parts.ended];
  }

  async end(end: LogEnd): Promise<void> {
    const { index, roads } = this.#parts;
    await index.flush(roads.next);
    const open = await index.unfinished();
    if (open.length > 0)
      throw new Fault(
        'conflict',
        'ledger.road_open',
        `${open.length} requests of this log have no outcome yet`,
      );
    const t = this.time();
    const entry = this.#admit(encodeLeaf({ ...endedLeaf(end), v: 1, log: this.origin, t }));
    this.#hasEnded = true;
    await this.#commit.append({ entry, leaf: { kind: 'site', id: end.id, t }, road: null });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commit[Symbol.asyncDispose]();
    await this.#maintenance[Symbol.asyncDispose]();
    await this.#parts.resources[Symbol.asyncDispose]();
  }

  // What the log cannot take is refused before it costs anything.
  #admit(entry: Buffer): Buffer {
    if (this.#hasEnded)
      throw new Fault('conflict', 'ledger.ended', 'this log has ended; restart for the next');
    if (entry.length > MAX_ENTRY_BYTES)
      throw new Fault('invalid', 'ledger.leaf_too_long', `a leaf has at most ${MAX_ENTRY_BYTES} bytes`);
    const trouble = this.#troubles.first();
    if (trouble !== null) throw new Fault('unavailable', 'ledger.unavailable', `cannot record: ${trouble}`);
    const late = this.#parts.clock.trouble();
    if (late !== null) throw new Fault('unavailable', 'ledger.clock_regression', late);
    return entry;
  }

  async #storeKey(keys: OpenRoad): Promise<void> {
    try {
      await keys.makeDurable();
    } catch (cause) {
      this.#maintenance.reportKeyTrouble(cause);
      throw new Fault(
        'unavailable',
        'ledger.unavailable',
        'cannot record: the request key cannot be stored',
        {
          cause,
        },
      );
    }
  }

  #onDurable(index: number, { entry, leaf, road }: Append): void {
    const { log, index: roads, clock } = this.#parts;
    log.append(entry);
    roads.note(index, leaf, road);
    clock.saw(leaf.t);
    if (leaf.kind === 'outcome' && this.#unfinished.size > 0) this.#finish(leaf.rid, leaf.attempt);
    this.#maintenance.wakeIfFull();
  }

  #finish(rid: string, attempt: number): void {
    for (const [index, one] of this.#unfinished)
      if (one.rid === rid && one.attempt === attempt) this.#unfinished.delete(index);
  }

  // The logs before this one are few, and most of what is asked for is recent.
  async #roadsWith(rid: string): Promise<RoadReader> {
    if (this.#parts.ended.length === 0 || (await this.#roads.has(rid))) return this.#roads;
    for (const { roads } of this.#parts.ended) if (await roads.has(rid)) return roads;
    return this.#roads;
  }

  #keyFiles(): KeyFiles[] {
    const today = Math.floor(this.#options.world.clock.now() / DAY);
    return [this.#roads, ...this.#parts.ended.map(({ roads }) => roads)].map((one) => one.keyFiles(today));
  }
}
