import { Fault } from '../core/fault.ts';
import { realDisk } from './disk.ts';
import { keepLogKey, makeNextLogKey, rotationUnderWay } from './next-key.ts';
import { openLedger } from './open.ts';
import type { LedgerOptions } from './options.ts';
import type { RotationReason } from './rotation.ts';
import type { Ledger, ServedLog } from './types.ts';

export interface RotationPlan {
  readonly reason: RotationReason;
  /** Keeps a copy of the old secret beside the new one; otherwise it is overwritten. */
  readonly keepKey: boolean;
  /** Appends to the ending log what still belongs to it: outcomes of open roads, leaves that wait in the outbox. */
  settle(ledger: Ledger): Promise<void>;
}

/** What a rotation has done. */
export interface Rotation {
  /** The log that ended, with its last signed note. */
  readonly ended: { readonly origin: string; readonly vkey: string; readonly checkpoint: string };
  readonly began: { readonly origin: string; readonly vkey: string };
  /** Where the old secret is kept, or null once it is overwritten. */
  readonly kept: string | null;
}

/**
 * Ends the site's log and begins its successor under a new key. One that a crash cut short is finished, not repeated.
 * @throws Faults of `openLedger`; `ledger.road_open` when `settle` left a road open.
 */
export async function rotateLedger(options: LedgerOptions, plan: RotationPlan): Promise<Rotation> {
  const folder = { keysDir: options.keysDir, disk: options.io ?? realDisk, world: options.world };
  const begun = await rotationUnderWay(folder);
  let kept: string | null = null;
  {
    await using ledger = await openLedger(options);
    if (ledger.logId !== begun) {
      await plan.settle(ledger);
      if (plan.keepKey) kept = await keepLogKey(folder, ledger.logId);
      const next = await makeNextLogKey(folder, options.site);
      const successor = plan.reason === 'compromise' ? null : next.vkey;
      await ledger.end({ id: options.world.ids.next('o'), reason: plan.reason, successor });
    }
  }
  await using ledger = await openLedger(options);
  const [began, ended] = ledger.logs();
  if (began === undefined || ended === undefined)
    throw new Fault('internal', 'ledger.ended', 'the log that ended is not among those that are served');
  return { began, ended: await shown(ended), kept };
}

async function shown(log: ServedLog): Promise<Rotation['ended']> {
  return { origin: log.origin, vkey: log.vkey, checkpoint: await log.checkpoint() };
}
