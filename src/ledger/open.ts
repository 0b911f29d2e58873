import { dirname, join } from 'node:path';

import { Fault } from '../core/fault.ts';
import { openAnchor, type Anchor } from './anchor.ts';
import { Checkpoints } from './checkpoints.ts';
import { DayKeys } from './day-keys.ts';
import { diskErrorName, realDisk, type Disk } from './disk.ts';
import { LOG_FOLDER, markEnded, openEndedLogs } from './ended-log.ts';
import { LOG_KEY_FILE, loadLogKey, loadMasterKey, type KeyFolder, type LogKey } from './key.ts';
import { LeafClock } from './leaf-clock.ts';
import { readLeaf } from './leaf-facts.ts';
import { SiteLedger, type LedgerParts } from './ledger.ts';
import { lockFile } from './lock.ts';
import { settleRestored } from './log-copy.ts';
import { activateNextLogKey, dropNextLogKey, nextLogKey, settleLogKeys } from './next-key.ts';
import { openCheckpoint, type TreeHead } from './note.ts';
import type { LedgerOptions } from './options.ts';
import { recoverIndex } from './recover-index.ts';
import { RoadFile } from './roads.ts';
import { beganLeaf, readEnd, type LogEnd, type Predecessor } from './rotation.ts';
import { TiledLog } from './tiled-log.ts';
import { TILE_WIDTH } from './tree.ts';
import type { Ledger } from './types.ts';
import { Defect } from './verify/findings.ts';
import { Wal } from './wal.ts';

const SEGMENT_BYTES = 16 << 20;
const MIN_SEGMENT_BYTES = 128 << 10;
const REPLAY_PENDING_BYTES = 8 << 20;

/**
 * Opens the site's log, or begins it, and brings it to the state it had when its last process ended.
 * A rotation that its last process had begun is finished first.
 * @throws Fault `ledger.in_use`, `ledger.cloned`, `ledger.rolled_back`, `ledger.forked`, `ledger.corrupt`,
 * `ledger.anchor_damaged`, `ledger.ended`, `ledger.key_missing`, `ledger.open_key`.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  await using resources = new AsyncDisposableStack();
  const disk = options.io ?? realDisk;
  await disk.makeDirectory(options.dir);
  resources.use(lockFile(join(options.dir, 'lock.db')));
  const folder = { keysDir: options.keysDir, disk, world: options.world };
  await settleLogKeys(folder);
  await refuseMissingKey(options, folder);
  for (;;) {
    const key = await loadLogKey(folder, options.site);
    const master = await loadMasterKey(folder);
    await using opened = await openLog(options, disk, { key, master });
    const end = opened.log.size === 0 ? null : readEnd(await opened.log.entry(opened.log.size - 1));
    if (end === null) {
      await dropNextLogKey(folder);
      const ended = resources.use(await openEndedLogs(options, disk, { master, logId: key.logId }));
      resources.use(opened.resources.move());
      return new SiteLedger(options, { ...opened, ended: ended.logs, resources: resources.move() });
    }
    // A rotation was under way: what follows its first leaf may be done any number of times.
    const predecessor = await finishEnded(disk, join(options.dir, key.logId), opened);
    await opened[Symbol.asyncDispose]();
    await beginSuccessor(options, disk, { folder, master, end, predecessor });
    await activateNextLogKey(folder, key.logId);
  }
}

// A folder of keys that is not mounted, or an unlucky deletion, must not begin a new log beside the old one unasked.
async function refuseMissingKey({ dir }: LedgerOptions, { disk, keysDir }: KeyFolder): Promise<void> {
  const logs = (await disk.list(dir)).filter((name) => LOG_FOLDER.test(name));
  if (logs.length === 0 || (await disk.list(keysDir)).includes(LOG_KEY_FILE)) return;
  const message = `${dir} holds the log ${logs.join(', ')}, but ${keysDir} has no ${LOG_KEY_FILE}: put it back, or mount the folder. To begin a new log instead, move the data directory away`;
  throw new Fault('conflict', 'ledger.key_missing', message);
}

type OpenedLog = Omit<LedgerParts, 'ended' | 'resources'> &
  AsyncDisposable & { readonly resources: AsyncDisposableStack };

async function openLog(
  options: LedgerOptions,
  disk: Disk,
  { key, master }: { readonly key: LogKey; readonly master: Buffer },
): Promise<OpenedLog> {
  await using resources = new AsyncDisposableStack();
  const directory = join(options.dir, key.logId);
  await disk.makeDirectory(directory);
  const anchor = await openAnchorIn(options, disk, key);
  if (anchor !== null) resources.use(anchor);
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
  await settleRestored(directory, log, anchor?.found ?? null);
  const index = await recoverIndex(options, { logId: key.logId, log, roads });
  const checkpoints = new Checkpoints(key.signer, log, anchor);
  await checkpoints.atLeast(0);
  const clock = new LeafClock(options.world.clock);
  await rememberTime(clock, log);
  const unfinished = await index.unfinished();
  const held = resources.move();
  const parts = { key, anchor, wal, log, roads, index, checkpoints, clock, unfinished };
  return { ...parts, resources: held, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

// The last note and every tile under it are durable before anything speaks of the end.
async function finishEnded(disk: Disk, directory: string, opened: OpenedLog): Promise<Predecessor> {
  const { key, log, checkpoints } = opened;
  const { note } = await checkpoints.atLeast(log.size);
  await log.publishEnd(note);
  await markEnded(disk, directory, { vkey: key.vkey, note });
  return { origin: key.signer.vkey.name, vkey: key.vkey, checkpoint: note };
}

async function beginSuccessor(
  options: LedgerOptions,
  disk: Disk,
  parts: { folder: KeyFolder; master: Buffer; end: LogEnd; predecessor: Predecessor },
): Promise<void> {
  const { folder, master, end, predecessor } = parts;
  const key = await nextLogKey(folder);
  if (key === null || (end.successor !== null && end.successor !== key.vkey))
    throw new Fault(
      'conflict',
      'ledger.ended',
      `${predecessor.origin} has ended, and the key of the log after it is not there: put back ledger-log.next.key in ${folder.keysDir}`,
    );
  const opened = await openLog(options, disk, { key, master });
  await using ledger = new SiteLedger(options, { ...opened, ended: [] });
  if (ledger.size() === 0) await ledger.appendSite(beganLeaf(end, predecessor));
}

async function openAnchorIn(options: LedgerOptions, disk: Disk, key: LogKey): Promise<Anchor | null> {
  const { anchorDir: directory, anchorOptional, log } = options;
  if (directory === null) return null;
  try {
    const { machine = null, adoptMachine: adopt = false } = options;
    return await openAnchor({ disk, directory, key: key.signer.vkey, machine, adopt });
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

async function rememberTime(clock: LeafClock, log: TiledLog): Promise<void> {
  for (let at = Math.max(0, log.size - TILE_WIDTH); at < log.size; at++)
    clock.saw(readLeaf(await log.entry(at)).t);
}
