import { createHmac } from 'node:crypto';
import { join } from 'node:path';

import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import type { LogSource } from './check.ts';
import { DayKeys } from './day-keys.ts';
import { realDisk } from './disk.ts';
import { loadMasterKey } from './key.ts';
import { readLeaf } from './leaf-facts.ts';
import type { LogState } from './log-copy.ts';
import { openCheckpoint, readVkey } from './note.ts';
import { makeReceipt } from './receipt.ts';
import { newRoadState, noteLeaf, type RoadState } from './road-state.ts';
import { fieldKey, RoadFile } from './roads.ts';
import { readBundle } from './segment.ts';
import { TiledLog } from './tiled-log.ts';
import { tilePath, tileWidth } from './tile-path.ts';
import { HASH_BYTES, TILE_WIDTH, TreeEdge, type TreeHash } from './tree.ts';
import { Defect } from './verify/findings.ts';
import { verifyReceipt } from './verify/verify.ts';

export interface DrillOptions {
  /** Of the log that was put back. */
  readonly directory: string;
  readonly keysDir: string;
  readonly state: LogState;
  readonly vkey: string;
  /** At most so many receipts are made and verified. */
  readonly sample: number;
  readonly world: World;
}

/** What a drill has verified. */
export interface Drilled {
  readonly receipts: number;
  /** Of these, whose request key opens what the decision commits to. */
  readonly opened: number;
  readonly erased: number;
}

/**
 * Makes and verifies receipts of a log that was put back, without signing anything.
 * @throws Fault `ledger.drill_failed`, `ledger.corrupt`.
 */
export async function drillLog(options: DrillOptions): Promise<Drilled> {
  const { directory, state, vkey, world } = options;
  const log = await loadedLog(directory, state);
  const roads = await sampledRoads(log, options);
  const origin = readVkey(vkey).name;
  const checkpoints = { atLeast: async () => state };
  for (const road of roads.values()) {
    const receipt = await makeReceipt({ origin, log, checkpoints }, road);
    const verdict = await verifyReceipt(Buffer.from(JSON.stringify(receipt)), { vkeys: [vkey] }, {});
    if (verdict.verdict !== 'valid') throw failed(`the receipt ${road.rid} is ${verdict.reasons.join('; ')}`);
  }
  const master = await loadMasterKey({ keysDir: options.keysDir, disk: realDisk, world });
  await using days = await DayKeys.open(realDisk, join(directory, 'day-keys'), { master, world });
  await using file = await RoadFile.open(realDisk, join(directory, 'roads'), { days, world });
  const opened = await openAll(file, log, roads);
  return { receipts: roads.size, ...opened };
}

async function loadedLog(directory: string, { size }: LogState): Promise<TiledLog> {
  const log = new TiledLog(realDisk, directory);
  const whole = size - (size % TILE_WIDTH);
  await log.load(whole);
  if (size === whole) return log;
  const name = { level: 'entries', number: whole / TILE_WIDTH, width: size - whole } as const;
  const entries = readBundle((await realDisk.readFile(join(directory, tilePath(name)))) ?? Buffer.alloc(0));
  for (const entry of entries ?? []) log.append(entry);
  return log;
}

async function sampledRoads(
  log: TiledLog,
  { state: { size }, sample, world }: DrillOptions,
): Promise<Map<string, RoadState>> {
  const roads = new Map<string, RoadState>();
  const chance = Math.min(1, (2 * sample) / Math.max(1, size));
  for (let at = 0; at < size; at++) {
    const leaf = readLeaf(await log.entry(at));
    if (leaf.kind === 'site') continue;
    const isNew = leaf.kind === 'decision' && leaf.attempt === 1;
    if (isNew && roads.size < sample && world.random.unit() < chance)
      roads.set(leaf.rid, newRoadState(leaf.rid));
    const road = roads.get(leaf.rid);
    if (road !== undefined) noteLeaf(road, at, leaf);
  }
  return roads;
}

async function openAll(
  file: RoadFile,
  log: TiledLog,
  roads: ReadonlyMap<string, RoadState>,
): Promise<{ opened: number; erased: number }> {
  const opened = new Set<string>();
  const erased = new Set<string>();
  for await (const { slot, rid } of file.scan(0)) {
    const first = roads.get(rid)?.decisions[0];
    const record = first === undefined ? null : await file.read(slot, rid);
    if (first === undefined || record === null) continue;
    if (record.erased) erased.add(rid);
    else if (
      record.key !== null &&
      isCommitted(await log.entry(first.index), record.key, record.owner.caller)
    )
      opened.add(rid);
  }
  const closed = [...roads.keys()].find((rid) => !opened.has(rid) && !erased.has(rid));
  if (closed !== undefined)
    throw failed(`no request key opens ${closed}: keys or key files are those of another time`);
  return { opened: opened.size, erased: erased.size };
}

function isCommitted(entry: Buffer, key: Buffer, caller: string): boolean {
  const leaf: { c?: { caller?: unknown } } = JSON.parse(entry.toString('utf8'));
  return leaf.c?.caller === createHmac('sha256', fieldKey(key, 'caller')).update(caller).digest('base64');
}

/**
 * The root that a log had at an earlier size, from its lowest tiles; null when it is not that large.
 * @throws Fault `ledger.drill_failed` when it cannot be read.
 */
export async function rootAtSize(source: LogSource, vkey: string, size: number): Promise<TreeHash | null> {
  const note = (await source.read('checkpoint'))?.toString('utf8') ?? '';
  const head = await openCheckpoint(note, readVkey(vkey));
  if (head instanceof Defect) throw failed(`the running log: ${head.message}`);
  if (head.size < size) return null;
  const edge = new TreeEdge(() => {});
  for (let number = 0; number * TILE_WIDTH < size; number++) {
    const full = await source.read(tilePath({ level: 0, number, width: TILE_WIDTH }));
    const width = tileWidth(0, number, head.size);
    const tile = full ?? (await source.read(tilePath({ level: 0, number, width })));
    if (tile === null) throw failed(`the running log: ${tilePath({ level: 0, number, width })} is missing`);
    for (let at = 0; at < tileWidth(0, number, size); at++)
      edge.append(tile.toString('latin1', at * HASH_BYTES, (at + 1) * HASH_BYTES));
  }
  return edge.root();
}

function failed(what: string): Fault {
  return new Fault('invalid', 'ledger.drill_failed', `the drill failed: ${what}`);
}
