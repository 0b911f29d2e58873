import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Fault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';
import { readAnchor } from '../../ledger/anchor.ts';
import { realDisk } from '../../ledger/disk.ts';
import { drillLog, rootAtSize, type Drilled } from '../../ledger/drill.ts';
import { readVkey } from '../../ledger/note.ts';
import { logIdOf } from './backup.ts';
import { restoreBackup, type Restored } from './restore.ts';
import { leavesSeen } from './store.ts';

export interface DrillPlan {
  readonly backup: string;
  readonly keysDir: string | null;
  /** DATA of the site that runs, to compare with. */
  readonly dataDir: string;
  readonly anchorDir: string | null;
  readonly sample: number;
  readonly world: World;
}

/** What a drill found; `newer` is how many leaves the place named has signed beyond the backup, null without it. */
export interface DrillReport extends Drilled {
  readonly origin: string;
  readonly size: number;
  readonly newer: { readonly anchor: number | null; readonly running: number | null };
}

/**
 * Puts a backup back in a temporary place, verifies it there, compares it with the log of today, and removes it.
 * Nothing is signed.
 * @throws Fault `ledger.drill_failed` and the faults of `restoreBackup`.
 */
export async function drillBackup(plan: DrillPlan): Promise<DrillReport> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sekisho-drill-'));
  try {
    const dataDir = path.join(folder, 'data');
    const restored = await restoreBackup({ ...plan, dataDir });
    const { vkey, origin } = restored.manifest;
    const logId = logIdOf({ vkey: readVkey(vkey) });
    const directory = path.join(dataDir, 'ledger', logId);
    leavesSeen(path.join(dataDir, 'sekisho.db'), logId);
    const drilled = await drillLog({
      directory,
      keysDir: path.join(dataDir, 'keys'),
      state: restored.state,
      vkey,
      sample: plan.sample,
      world: plan.world,
    });
    const newer = {
      anchor: await beyondAnchor(plan, restored),
      running: await beyondRunning(plan, restored, logId),
    };
    return { ...drilled, origin, size: restored.state.size, newer };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function beyondAnchor({ anchorDir }: DrillPlan, { manifest, state }: Restored): Promise<number | null> {
  if (anchorDir === null) return null;
  const key = readVkey(manifest.vkey);
  const anchored = await readAnchor({ disk: realDisk, directory: anchorDir, key });
  if (anchored === null) return null;
  if (anchored.size === state.size && anchored.root !== state.root) throw other('the anchor');
  return anchored.size - state.size;
}

async function beyondRunning(
  { dataDir }: DrillPlan,
  { manifest, state }: Restored,
  logId: string,
): Promise<number | null> {
  const place = path.join(dataDir, 'ledger', logId);
  const source = { read: async (name: string) => readFile(path.join(place, name)).catch(() => null) };
  const note = await source.read('checkpoint');
  if (note === null) return null;
  const root = await rootAtSize(source, manifest.vkey, state.size);
  if (root !== null && root !== state.root) throw other('the running log');
  return Number(note.toString('utf8').split('\n')[1]) - state.size;
}

function other(what: string): Fault {
  const message = `the drill failed: ${what} has another past than the backup; run "sekisho ledger check" on both`;
  return new Fault('invalid', 'ledger.drill_failed', message);
}
