import { join } from 'node:path';

import { SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Clock } from '../core/world.ts';
import type { LogSource } from './check.ts';
import { realDisk } from './disk.ts';
import { openCheckpoint, type TreeHead } from './note.ts';
import {
  corruption,
  encodeBatch,
  encodeBundle,
  encodeSegmentHeader,
  readBundle,
  SEGMENT_HEADER_BYTES,
} from './segment.ts';
import { partialTiles, tilePath, type TileName } from './tile-path.ts';
import { HASH_BYTES, TILE_WIDTH } from './tree.ts';
import { Defect } from './verify/findings.ts';
import type { Vkey } from './verify/vkey.ts';

/** A signed state of a log. */
export interface LogState extends TreeHead {
  readonly note: string;
}

export interface LogCopyOptions {
  readonly source: LogSource;
  readonly key: Vkey;
  readonly clock: Clock;
  /** Waits until the signed checkpoint covers so many leaves. */
  readonly atLeast: number;
  readonly write: (path: string, bytes: Buffer) => Promise<void>;
}

const RETRY_MS = 100;
const WAIT_MS = 30 * SECOND;
/** Marks a log that was put back from a backup, until the anchor has shown that nothing was signed since. */
const RESTORED_FILE = 'restored';

/**
 * Copies a log up to one signed checkpoint while its process goes on: what a tree of that size has never changes.
 * @throws Fault `ledger.behind` when no checkpoint covers `atLeast` leaves within 30 s, `ledger.corrupt`.
 */
export async function copyLog(options: LogCopyOptions): Promise<LogState> {
  const state = await signedState(options);
  for (const name of tilesOf(state.size)) await options.write(tilePath(name), await readTile(options, name));
  await options.write('checkpoint', Buffer.from(state.note));
  return state;
}

async function signedState({ source, key, clock, atLeast }: LogCopyOptions): Promise<LogState> {
  const begun = clock.elapsed();
  for (;;) {
    const note = (await source.read('checkpoint'))?.toString('utf8') ?? '';
    const head = note === '' ? null : await openCheckpoint(note, key);
    if (head instanceof Defect)
      throw corruption('checkpoint', head.message, 'Start the site, which signs it anew');
    if (head !== null && head.size >= atLeast) return { ...head, note };
    if (clock.elapsed() - begun > WAIT_MS)
      throw new Fault(
        'unavailable',
        'ledger.behind',
        `the signed checkpoint covers ${head?.size ?? 0} of ${atLeast} leaves: the site was killed, or cannot sign. Start it, see /readyz, then repeat`,
      );
    await clock.sleep(RETRY_MS);
  }
}

function* tilesOf(size: number): Generator<TileName> {
  for (let number = 0; number < Math.floor(size / TILE_WIDTH); number++)
    yield { level: 'entries', number, width: TILE_WIDTH };
  for (
    let level = 0, count = Math.floor(size / TILE_WIDTH);
    count > 0;
    level++, count = Math.floor(count / TILE_WIDTH)
  )
    for (let number = 0; number < count; number++) yield { level, number, width: TILE_WIDTH };
  yield* partialTiles(size);
}

// A partial tile goes once the full one is there, which begins with it.
async function readTile({ source }: LogCopyOptions, name: TileName): Promise<Buffer> {
  const bytes = await source.read(tilePath(name));
  if (bytes !== null) return bytes;
  const full = name.width === TILE_WIDTH ? null : await source.read(tilePath({ ...name, width: TILE_WIDTH }));
  if (full === null)
    throw corruption(tilePath(name), 'the tile is missing', 'Run "sekisho ledger check" on the log');
  if (name.level !== 'entries') return full.subarray(0, name.width * HASH_BYTES);
  return encodeBundle((readBundle(full) ?? []).slice(0, name.width));
}

/**
 * Makes a copied log one that a start replays: its last leaves go into a write-ahead segment, and a mark says that it
 * was put back.
 */
export async function prepareRestored(directory: string, logId: string, state: LogState): Promise<void> {
  const firstIndex = state.size - (state.size % TILE_WIDTH);
  const width = state.size % TILE_WIDTH;
  const last = tilePath({ level: 'entries', number: firstIndex / TILE_WIDTH, width });
  const bundle = width === 0 ? null : await realDisk.readFile(join(directory, last));
  const entries = bundle === null ? [] : readBundle(bundle);
  if (entries === null || entries.length !== width)
    throw corruption(join(directory, last), `expected a bundle of ${width} entries`, 'Use another backup');
  const batch = width === 0 ? Buffer.alloc(0) : encodeBatch(0, firstIndex, entries);
  const header = encodeSegmentHeader({ logId, firstBatch: 0, firstIndex });
  const folder = join(directory, 'wal');
  await realDisk.makeDirectory(folder);
  const segment = await realDisk.open(join(folder, '000000000001.wal'), 'update');
  try {
    await segment.write(header, 0);
    await segment.write(batch, SEGMENT_HEADER_BYTES);
    await segment.datasync();
  } finally {
    await segment.close();
  }
  await realDisk.replace(join(directory, RESTORED_FILE), Buffer.from(state.note), 0o600);
  for (const path of [join(directory, RESTORED_FILE), folder, directory]) await realDisk.sync(path);
}

/**
 * Lets a log that was put back go on only when the anchor shows that nothing was signed since the backup: on a machine
 * without it nobody can tell, and signing would fork the log.
 * @throws Fault `ledger.restored`.
 */
export async function settleRestored(
  directory: string,
  log: { readonly size: number },
  anchored: TreeHead | null,
): Promise<void> {
  const mark = join(directory, RESTORED_FILE);
  if ((await realDisk.readFile(mark)) === null) return;
  if (anchored === null || anchored.size !== log.size)
    throw new Fault(
      'conflict',
      'ledger.restored',
      `this log was put back from a backup of ${log.size} leaves, and no anchor says that nothing was signed since: put back the anchor of ledger.anchor, or restore with --new-log, which begins another log`,
      { details: { found: log.size } },
    );
  await realDisk.remove(mark);
  await realDisk.sync(directory);
}
