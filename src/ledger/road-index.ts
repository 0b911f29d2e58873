import type { LeafFacts } from './leaf-facts.ts';
import { isClosed, newRoadState, noteLeaf, pendingDecisions, type RoadState } from './road-state.ts';
import { storedRoad, type RoadStore } from './store.ts';

const REMEMBERED_ROADS = 10_000;

/**
 * Which leaves belong to which road: recent roads in memory, all others in the store, which is written behind the log
 * and never waited for by it.
 */
export class RoadIndex {
  readonly #store: RoadStore;
  // In the order of last use; what the store does not have yet is never forgotten.
  readonly #roads = new Map<string, RoadState>();
  readonly #loading = new Map<string, Promise<RoadState | null>>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #dirty = new Set<RoadState>();
  // On its way to the store, and not to be forgotten until it is there.
  #flushing: ReadonlySet<RoadState> = new Set();
  #sites: { id: string; index: number }[] = [];
  #leaves: number;

  /** Speaks for the first `leaves` leaves, which the store has. */
  constructor(store: RoadStore, leaves: number) {
    this.#store = store;
    this.#leaves = leaves;
  }

  /** Changes that the store does not have yet. */
  get backlog(): number {
    return this.#dirty.size + this.#flushing.size + this.#sites.length;
  }

  /** Keeps a road whose request key is in `slot`. */
  keep(road: RoadState, slot: number): void {
    if (road.slot !== slot) {
      road.slot = slot;
      this.#dirty.add(road);
    }
    this.#use(road);
  }

  /** Notes the log's next leaf; `road` is null for a leaf of no road. */
  note(index: number, leaf: LeafFacts, road: RoadState | null): void {
    this.#leaves = index + 1;
    if (leaf.kind === 'site') {
      this.#sites.push({ id: leaf.id, index });
      return;
    }
    if (road === null) return;
    noteLeaf(road, index, leaf);
    this.#dirty.add(road);
    this.#use(road);
    if (isClosed(road)) this.#tellClosed(road.rid);
  }

  /** Null for an unknown id. Those who ask for one road at once get the same object. */
  async find(rid: string): Promise<RoadState | null> {
    const known = this.#roads.get(rid);
    if (known !== undefined) return known;
    const loading = this.#loading.get(rid) ?? this.#load(rid);
    this.#loading.set(rid, loading);
    return loading;
  }

  async isClosed(rid: string): Promise<boolean> {
    const road = await this.find(rid);
    return road !== null && isClosed(road);
  }

  /** The roads among these that have leaves or a slot, as they are now; none is remembered for it. */
  async look(rids: readonly string[]): Promise<Map<string, RoadState>> {
    const missing = rids.filter((rid) => !this.#roads.has(rid));
    const stored = missing.length === 0 ? [] : await this.#store.roads(missing);
    const found = new Map(stored.map((road) => [road.rid, road]));
    for (const rid of rids) {
      const known = this.#roads.get(rid);
      if (known !== undefined) found.set(rid, known);
    }
    return found;
  }

  /** As `find` for many, making the roads that do not exist; with `areNew` the store is not asked for them. */
  async findOrMake(rids: readonly string[], areNew = false): Promise<Map<string, RoadState>> {
    const missing = areNew ? [] : rids.filter((rid) => !this.#roads.has(rid));
    for (const road of missing.length === 0 ? [] : await this.#store.roads(missing)) this.#use(road);
    const found = new Map<string, RoadState>();
    for (const rid of rids) {
      const road = this.#roads.get(rid) ?? newRoadState(rid);
      this.#use(road);
      found.set(rid, road);
    }
    return found;
  }

  async findSite(id: string, from: number): Promise<number | null> {
    const stored = await this.#store.site(id, from);
    if (stored !== null) return stored;
    return this.#sites.find((site) => site.id === id && site.index >= from)?.index ?? null;
  }

  /** Calls back once when the road closes; gives the way to stop waiting. */
  onClosed(rid: string, told: () => void): () => void {
    const waiting = this.#waiting.get(rid) ?? new Set();
    this.#waiting.set(rid, waiting.add(told));
    return () => {
      waiting.delete(told);
      if (waiting.size === 0) this.#waiting.delete(rid);
    };
  }

  /** Writes what the store lacks; `slots` is the number of slots whose roads this index knows. */
  async flush(slots: number): Promise<void> {
    const roads = this.#dirty;
    const sites = this.#sites;
    if (roads.size === 0 && sites.length === 0) return;
    // Copies: a road may get leaves beyond the watermark while the store writes.
    const watermark = { leaves: this.#leaves, slots };
    const change = { roads: [...roads].map(storedRoad), sites: [...sites], watermark };
    this.#dirty = new Set();
    this.#flushing = roads;
    try {
      await this.#store.write(change);
      this.#sites.splice(0, change.sites.length);
    } catch (error) {
      for (const road of roads) this.#dirty.add(road);
      throw error;
    } finally {
      this.#flushing = new Set();
    }
    this.#forget();
  }

  /** The allowed decisions without an outcome. */
  async unfinished(): Promise<{ rid: string; attempt: number; index: number }[]> {
    // What the store lacks is newer than what it says of the same roads.
    const stored = await this.#store.unfinished();
    const roads = [...stored.filter(({ rid }) => !this.#roads.has(rid)), ...this.#roads.values()];
    return roads.flatMap((road) =>
      pendingDecisions(road).map(({ attempt, index }) => ({ rid: road.rid, attempt, index })),
    );
  }

  async #load(rid: string): Promise<RoadState | null> {
    try {
      const [stored] = await this.#store.roads([rid]);
      const road = this.#roads.get(rid) ?? stored ?? null;
      if (road !== null) this.#use(road);
      return road;
    } finally {
      this.#loading.delete(rid);
    }
  }

  #use(road: RoadState): void {
    this.#roads.delete(road.rid);
    this.#roads.set(road.rid, road);
  }

  #forget(): void {
    let excess = this.#roads.size - REMEMBERED_ROADS;
    for (const [rid, road] of this.#roads) {
      if (excess-- <= 0) return;
      if (!this.#dirty.has(road)) this.#roads.delete(rid);
    }
  }

  #tellClosed(rid: string): void {
    const waiting = this.#waiting.get(rid);
    this.#waiting.delete(rid);
    for (const told of waiting ?? []) told();
  }
}
