import { Fault } from '../core/fault.ts';
import type { RoadIndex } from './road-index.ts';
import { isClosed, lastIndex, leafIndices, type RoadState } from './road-state.ts';
import type { RoadFile } from './roads.ts';
import type { Erased, ErasureScope, ErasureSurvey } from './types.ts';

/** Where request keys lie and what is known of their requests. */
export interface KeyFiles {
  readonly roads: RoadFile;
  readonly index: RoadIndex;
  /** Days since 1970, UTC. */
  readonly today: number;
}

interface Day {
  readonly slot: number;
  readonly tenant: string;
  readonly day: number;
}

interface Found {
  readonly slot: number;
  readonly rid: string;
  readonly day: Day;
  /** Null for a key that was drawn and no leaf was ever written with. */
  readonly road: RoadState | null;
}

const CHUNK = 512;

/** What of a scope can still be opened, in the logs of a site, the one at work first. */
export async function surveyLogs(logs: readonly KeyFiles[], scope: ErasureScope): Promise<ErasureSurvey> {
  let sum: ErasureSurvey = { requests: 0, running: 0, first: null, last: null };
  for (const files of logs) {
    const one = await survey(files, scope);
    sum = {
      requests: sum.requests + one.requests,
      running: sum.running + one.running,
      first: one.first === null ? sum.first : Math.min(one.first, sum.first ?? one.first),
      last: one.last === null ? sum.last : Math.max(one.last, sum.last ?? one.last),
    };
  }
  return sum;
}

/**
 * Overwrites the keys of a scope, and the day keys under which nothing is left; in logs that have ended, all of them.
 * @throws Fault `ledger.unavailable` when the disk refuses; what is left can be erased by the same call.
 */
export async function eraseInLogs(
  logs: readonly KeyFiles[],
  scope: ErasureScope,
  order: Order,
): Promise<Erased> {
  let sum: Erased = { requests: 0, dayKeys: 0 };
  for (const [i, files] of logs.entries()) {
    const one = await eraseAll(files, scope, i === 0 ? order : { ...order, size: Infinity });
    sum = { requests: sum.requests + one.requests, dayKeys: sum.dayKeys + one.dayKeys };
  }
  return sum;
}

interface Order {
  /** Leaves of the log at work when it was ordered. */
  readonly size: number;
  readonly leaving: (rids: readonly string[]) => Promise<void>;
}

async function survey(files: KeyFiles, scope: ErasureScope): Promise<ErasureSurvey> {
  const ended = new Set<string>();
  const running = new Set<string>();
  let [first, last] = [Infinity, -1];
  for await (const chunk of inScope(files, await daysOf(files, scope)))
    for (const { rid, road } of chunk) {
      if (road === null) continue;
      if (!isClosed(road)) {
        running.add(rid);
        continue;
      }
      ended.add(rid);
      for (const index of leafIndices(road)) [first, last] = [Math.min(first, index), Math.max(last, index)];
    }
  const range = ended.size === 0 ? { first: null, last: null } : { first, last };
  return { requests: ended.size, running: running.size, ...range };
}

async function eraseAll(files: KeyFiles, scope: ErasureScope, order: Order): Promise<Erased> {
  const days = await daysOf(files, scope);
  // Before anything is looked at: a request that arrives from now on is wrapped under a key that this does not touch.
  for (const day of days.values()) files.roads.days.retire(day);
  const gone = new Set<string>();
  const kept = new Set<number>();
  for await (const chunk of inScope(files, days)) {
    const leaving = chunk.filter((one) => mayGo(one, order.size, files.today));
    for (const one of chunk) if (!leaving.includes(one)) kept.add(one.day.slot);
    const rids = leaving.flatMap(({ rid, road }) => (road === null ? [] : [rid]));
    if (rids.length > 0) await order.leaving(rids);
    await durably(files.roads.eraseSlots(leaving.map(({ slot }) => slot)));
    for (const rid of rids) gone.add(rid);
  }
  const empty = [...days.values()].filter(({ slot }) => !kept.has(slot));
  await durably(Promise.all(empty.map((day) => files.roads.days.erase(day))));
  return { requests: gone.size, dayKeys: empty.length };
}

async function daysOf({ roads }: KeyFiles, scope: ErasureScope): Promise<ReadonlyMap<number, Day>> {
  const days = new Map<number, Day>();
  for await (const found of roads.days.list()) {
    const isTenant = scope.tenant === null || found.tenant === scope.tenant;
    const isBefore = scope.beforeDay === null || found.day < scope.beforeDay;
    if (isTenant && isBefore) days.set(found.slot, found);
  }
  return days;
}

async function* inScope(
  { roads, index }: KeyFiles,
  days: ReadonlyMap<number, Day>,
): AsyncGenerator<readonly Found[]> {
  let chunk: Omit<Found, 'road'>[] = [];
  const look = async (): Promise<Found[]> => {
    const states = await index.look(chunk.map(({ rid }) => rid));
    const found = chunk.map((one) => ({ ...one, road: withLeaves(states.get(one.rid)) }));
    chunk = [];
    return found;
  };
  for await (const { slot, rid, daySlot } of roads.live()) {
    const day = days.get(daySlot);
    if (day !== undefined) chunk.push({ slot, rid, day });
    if (chunk.length === CHUNK) yield await look();
  }
  yield await look();
}

function withLeaves(road: RoadState | undefined): RoadState | null {
  return road === undefined || lastIndex(road) < 0 ? null : road;
}

// A key without a leaf may belong to a request whose decision is being written; after two days it does not.
function mayGo({ road, day }: Found, size: number, today: number): boolean {
  return road === null ? day.day < today - 1 : isClosed(road) && lastIndex(road) < size;
}

async function durably(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (cause) {
    const message = 'keys could not be overwritten; ask again';
    throw new Fault('unavailable', 'ledger.unavailable', message, { cause });
  }
}
