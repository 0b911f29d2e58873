import { dirname, join } from 'node:path';

import { Fault } from '../core/fault.ts';
import { openAnchor, type Anchor } from './anchor.ts';
import { Checkpoints } from './checkpoints.ts';
import { DayKeys } from './day-keys.ts';
import { diskErrorName, realDisk, type Disk } from './disk.ts';
import { loadLogKey, loadMasterKey, type LogKey } from './key.ts';
import { LeafClock } from './leaf-clock.ts';
import { readLeaf } from './leaf-facts.ts';
import { SiteLedger } from './ledger.ts';
import { lockFile } from './lock.ts';
import { openCheckpoint, type TreeHead } from './note.ts';
import type { LedgerOptions } from './options.ts';
import { RoadIndex } from './road-index.ts';
import { RoadFile } from './roads.ts';
import { RoadStore, type Watermark } from './store.ts';
import { TiledLog } from './tiled-log.ts';
import { TILE_WIDTH } from './tree.ts';
import type { Ledger } from './types.ts';
import { Defect } from './verify/findings.ts';
import { Wal } from './wal.ts';

const SEGMENT_BYTES = 16 << 20;
const MIN_SEGMENT_BYTES = 128 << 10;
const REPLAY_PENDING_BYTES = 8 << 20;
const RECOVERY_CHUNK = 1024;
// A slot that was stored anew after a refusal may lie this far behind the watermark.
const SLOT_MARGIN = 4096;

/**
 * Opens the site's log, or begins it, and brings it to the state it had when its last process ended.
 * @throws Fault `ledger.in_use`, `ledger.rolled_back`, `ledger.forked`, `ledger.corrupt`, `ledger.anchor_damaged`.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  await using resources = new AsyncDisposableStack();
  const disk = options.io ?? realDisk;
  await disk.makeDirectory(options.dir);
  resources.use(lockFile(join(options.dir, 'lock.db')));
  const folder = { keysDir: options.keysDir, disk, world: options.world };
  const key = await loadLogKey(folder, options.site);
  const directory = join(options.dir, key.logId);
  await disk.makeDirectory(directory);
  const anchor = await openAnchorIn(options, disk, key);
  if (anchor !== null) resources.use(anchor);
  const master = await loadMasterKey(folder);
  const days = resources.use(
    await DayKeys.open(disk, join(directory, 'day-keys'), { master, world: options.world }),
  );
  const roads = resources.use(
    await RoadFile.open(disk, join(directory, 'roads'), { days, world: options.world }),
  );
  // The names of both key files must outlive a power loss before a leaf counts on what they hold.
  await disk.sync(directory);
  await disk.sync(options.dir);
  await disk.sync(dirname(options.dir));
  const { wal, log } = await replay(options, disk, { directory, logId: key.logId });
  resources.use(wal);
  await checkAgainst(log, anchor?.found ?? null, 'the anchor');
  if (anchor?.found === null && log.size > 0) options.log.warn('ledger.anchor_was_empty', { size: log.size });
  await checkAgainst(log, await publishedCheckpoint(disk, directory, key), 'the published checkpoint');
  const index = await recoverIndex(options, { key, log, roads });
  const checkpoints = new Checkpoints(key.signer, log, anchor);
  await checkpoints.atLeast(0);
  const clock = new LeafClock(options.world.clock);
  await rememberTime(clock, log);
  const unfinished = await index.unfinished();
  const parts = { key, anchor, wal, log, roads, index, checkpoints, clock, unfinished };
  return new SiteLedger(options, { ...parts, resources: resources.move() });
}

async function openAnchorIn(options: LedgerOptions, disk: Disk, key: LogKey): Promise<Anchor | null> {
  const { anchorDir: directory, anchorOptional, log } = options;
  if (directory === null) return null;
  try {
    return await openAnchor({ disk, directory, key: key.signer.vkey });
  } catch (cause) {
    // What the anchor says is never passed over; only a place that cannot hold one may be.
    if (cause instanceof Fault && cause.code !== 'ledger.unavailable') throw cause;
    const why = diskErrorName(cause instanceof Fault ? (cause.cause ?? cause) : cause);
    if (anchorOptional === true) {
      log.warn('ledger.no_anchor', { directory, why });
      return null;
    }
    const message = `cannot use the anchor directory ${directory} (${why}); make it writable, or name another under ledger.anchor`;
    throw new Fault('unavailable', 'ledger.unavailable', message, { cause });
  }
}

async function replay(
  options: LedgerOptions,
  disk: Disk,
  place: { directory: string; logId: string },
): Promise<{ wal: Wal; log: TiledLog }> {
  const log = new TiledLog(disk, place.directory);
  let isLoaded = false;
  const wal = await Wal.open({
    disk,
    directory: join(place.directory, 'wal'),
    logId: place.logId,
    segmentBytes: Math.max(options.segmentBytes ?? SEGMENT_BYTES, MIN_SEGMENT_BYTES),
    log: options.log,
    onBatch: async (batch) => {
      if (!isLoaded) await log.load(batch.firstIndex);
      isLoaded = true;
      // Copies, since a view would keep its whole segment in memory.
      for (const entry of batch.entries) log.append(Buffer.from(entry));
      if (log.pendingBytes > REPLAY_PENDING_BYTES) await log.flush();
    },
  });
  if (!isLoaded) await log.load(wal.nextIndex);
  return { wal, log };
}

// The log must have every leaf that was ever signed, and the same ones.
async function checkAgainst(log: TiledLog, signed: TreeHead | null, where: string): Promise<void> {
  if (signed === null) return;
  if (signed.size > log.size)
    throw new Fault(
      'conflict',
      'ledger.rolled_back',
      `${where} says that this log had ${signed.size} entries, but the data directory holds ${log.size}: an older copy was put back, or entries were lost. Put back the newest copy; to begin a new log instead, remove the data directory with its keys`,
      { details: { signed: signed.size, found: log.size } },
    );
  if ((await log.rootAt(signed.size)) === signed.root) return;
  throw new Fault(
    'conflict',
    'ledger.forked',
    `the first ${signed.size} entries are not those that ${where} speaks of: the data directory was changed, damaged or continued elsewhere. Run "sekisho ledger check" on it, and put back the copy that belongs to the checkpoint`,
    { details: { signed: signed.size, found: log.size } },
  );
}

// Written without a sync: after a power loss it may be old or empty, which says nothing.
async function publishedCheckpoint(disk: Disk, directory: string, key: LogKey): Promise<TreeHead | null> {
  const note = await disk.readFile(join(directory, 'checkpoint'));
  if (note === null) return null;
  const head = await openCheckpoint(note, key.signer.vkey);
  return head instanceof Defect ? null : head;
}

async function recoverIndex(
  options: LedgerOptions,
  { key, log, roads }: { key: LogKey; log: TiledLog; roads: RoadFile },
): Promise<RoadIndex> {
  const store = await RoadStore.open(options.database, key.logId);
  const known = await trustedWatermark(options, store, { leaves: log.size, slots: roads.next });
  const index = new RoadIndex(store, known.leaves);
  await recoverSlots(index, roads, Math.max(0, known.slots - SLOT_MARGIN));
  for (let first = known.leaves; first < log.size; first += RECOVERY_CHUNK) {
    const leaves = [];
    for (let at = first; at < Math.min(first + RECOVERY_CHUNK, log.size); at++)
      leaves.push(readLeaf(await log.entry(at)));
    const rids = leaves.flatMap((leaf) => (leaf.kind === 'site' ? [] : [leaf.rid]));
    const states = await index.findOrMake([...new Set(rids)]);
    for (const [i, leaf] of leaves.entries())
      index.note(first + i, leaf, leaf.kind === 'site' ? null : (states.get(leaf.rid) ?? null));
    await index.flush(roads.next);
  }
  return index;
}

// Slots are counted before they are durable, and a power loss takes the last ones away: their roads have no leaf, so the
// rows still hold. Leaves are counted when they are durable: an index with more of them is that of another log.
async function trustedWatermark(
  options: LedgerOptions,
  store: RoadStore,
  found: Watermark,
): Promise<Watermark> {
  const stored = await store.watermark();
  if (stored.leaves > found.leaves) {
    options.log.warn('ledger.index_rebuilt', { leaves: found.leaves });
    await store.clear();
    return { leaves: 0, slots: 0 };
  }
  if (stored.slots <= found.slots) return stored;
  const watermark = { leaves: stored.leaves, slots: found.slots };
  // Written down at once: new roads will take those slots, and the old number would speak for them.
  await store.write({ roads: [], sites: [], watermark });
  return watermark;
}

async function recoverSlots(index: RoadIndex, roads: RoadFile, from: number): Promise<void> {
  let chunk: { slot: number; rid: string }[] = [];
  const keep = async (): Promise<void> => {
    const states = await index.findOrMake(chunk.map(({ rid }) => rid));
    for (const { slot, rid } of chunk) {
      const road = states.get(rid);
      if (road !== undefined) index.keep(road, slot);
    }
    await index.flush(from);
    chunk = [];
  };
  for await (const found of roads.scan(from)) {
    chunk.push(found);
    if (chunk.length === RECOVERY_CHUNK) await keep();
  }
  await keep();
}

async function rememberTime(clock: LeafClock, log: TiledLog): Promise<void> {
  for (let at = Math.max(0, log.size - TILE_WIDTH); at < log.size; at++)
    clock.saw(readLeaf(await log.entry(at)).t);
}
