import { join } from 'node:path';

import { Fault } from '../core/fault.ts';
import { readAnchor } from './anchor.ts';
import type { SignedCheckpoint } from './checkpoints.ts';
import { DayKeys } from './day-keys.ts';
import type { Disk } from './disk.ts';
import { readLeaf } from './leaf-facts.ts';
import { formatVkey, openCheckpoint, readVkey } from './note.ts';
import type { LedgerOptions } from './options.ts';
import { recoverIndex } from './recover-index.ts';
import { RoadReader } from './road-reader.ts';
import { RoadFile } from './roads.ts';
import { corruption } from './segment.ts';
import { TiledLog } from './tiled-log.ts';
import type { ServedLog } from './types.ts';
import { Defect } from './verify/findings.ts';
import type { Vkey } from './verify/vkey.ts';

/** A log whose key was replaced: nothing is appended and nothing signed, all that it has is served. */
export interface EndedLog extends ServedLog, AsyncDisposable {
  readonly ended: true;
  readonly roads: RoadReader;
}

/** In the folder of an ended log: its vkey, a line break, and its last signed note. */
const ENDED_FILE = 'ended';
/** The name of a log's folder. */
export const LOG_FOLDER = /^[0-9a-f]{8}$/;
const RESTORE = 'Restore the folder of this log from a copy';

/** Notes, durably, that the log in `directory` has ended under this checkpoint, whose tiles are durable. */
export async function markEnded(
  disk: Disk,
  directory: string,
  { vkey, note }: { readonly vkey: string; readonly note: string },
): Promise<void> {
  const path = join(directory, ENDED_FILE);
  await disk.replace(path, Buffer.from(`${vkey}\n${note}`));
  await disk.sync(path);
  await disk.sync(directory);
}

/**
 * Opens every ended log of the site, the latest first.
 * @throws Fault `ledger.corrupt`; `ledger.forked` where the anchor saw its key sign something else.
 */
export async function openEndedLogs(
  options: LedgerOptions,
  disk: Disk,
  own: { readonly master: Buffer; readonly logId: string },
): Promise<{ readonly logs: readonly EndedLog[] } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const logs: { log: EndedLog; t: number }[] = [];
  for (const logId of await disk.list(options.dir)) {
    if (!LOG_FOLDER.test(logId) || logId === own.logId) continue;
    const found = await openEndedLog(options, disk, { ...own, logId });
    if (found !== null) logs.push({ ...found, log: opened.use(found.log) });
  }
  logs.sort((a, b) => b.t - a.t);
  const held = opened.move();
  return { logs: logs.map(({ log }) => log), [Symbol.asyncDispose]: () => held.disposeAsync() };
}

async function openEndedLog(
  options: LedgerOptions,
  disk: Disk,
  own: { readonly master: Buffer; readonly logId: string },
): Promise<{ log: EndedLog; t: number } | null> {
  const directory = join(options.dir, own.logId);
  const text = await disk.readFile(join(directory, ENDED_FILE));
  if (text === null) return null;
  const { vkey, checkpoint } = await readEnded(directory, text.toString('utf8'));
  await checkAnchor(options, disk, { vkey, checkpoint });
  const log = new TiledLog(disk, directory);
  await log.loadEnded(checkpoint.size);
  if (log.root() !== checkpoint.root)
    throw corruption(directory, 'its entries do not lead to its last signed root', RESTORE);
  // Every leaf is in a durable bundle by now.
  await disk.removeDirectory(join(directory, 'wal'));
  await using opened = new AsyncDisposableStack();
  const { master } = own;
  const { world } = options;
  const days = opened.use(await DayKeys.open(disk, join(directory, 'day-keys'), { master, world }));
  const roads = opened.use(await RoadFile.open(disk, join(directory, 'roads'), { days, world }));
  const index = await recoverIndex(options, { logId: own.logId, log, roads });
  // Nothing tells it later: no leaf will follow.
  await index.flush(roads.next);
  const evidence = { origin: vkey.name, log, checkpoints: { atLeast: async () => checkpoint } };
  const held = opened.move();
  const ended: EndedLog = {
    origin: vkey.name,
    logId: own.logId,
    vkey: formatVkey(vkey),
    ended: true,
    roads: new RoadReader(index, roads, evidence),
    checkpoint: async () => checkpoint.note,
    tile: async (path) => log.tile(path, checkpoint.size),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
  return { log: ended, t: readLeaf(await log.entry(log.size - 1)).t };
}

interface Ended {
  readonly vkey: Vkey;
  readonly checkpoint: SignedCheckpoint;
}

async function readEnded(directory: string, text: string): Promise<Ended> {
  const split = text.indexOf('\n');
  const note = text.slice(split + 1);
  try {
    const vkey = readVkey(text.slice(0, split));
    const head = await openCheckpoint(note, vkey);
    if (head instanceof Defect) throw head;
    if (head.size > 0) return { vkey, checkpoint: { ...head, note } };
    throw new Defect(1, 'expected a log with its last leaf');
  } catch (thrown) {
    if (!(thrown instanceof Defect)) throw thrown;
    throw corruption(join(directory, ENDED_FILE), thrown.message, RESTORE);
  }
}

// The anchor of a log outlives its key. What was signed here after the end came from another hand.
async function checkAnchor(options: LedgerOptions, disk: Disk, { vkey, checkpoint }: Ended): Promise<void> {
  if (options.anchorDir === null) return;
  const found = await readAnchor({ disk, directory: options.anchorDir, key: vkey });
  if (found === null || found.size < checkpoint.size) return;
  if (found.size === checkpoint.size && found.root === checkpoint.root) return;
  throw new Fault(
    'conflict',
    'ledger.forked',
    `${vkey.name} ended with ${checkpoint.size} entries, but the anchor holds another checkpoint of it over ${found.size}: a copy of this site went on with the replaced key. Find it and stop it`,
    { details: { ended: checkpoint.size, found: found.size } },
  );
}
