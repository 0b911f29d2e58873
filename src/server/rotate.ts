import path from 'node:path';
import type { Env } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { silentLog } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import { closeUnfinished } from '../crossing/recover.ts';
import { rotateLedger, type Rotation } from '../ledger/rotate.ts';
import { REASONS, type RotationReason } from '../ledger/rotation.ts';
import { loadRunningBundle } from '../policy/adopt.ts';
import { openDatabase } from '../storage/database.ts';
import { holdDataDirectory } from './data-place.ts';
import { openLeafOutbox } from './recording.ts';
import { ledgerOptions } from './site.ts';
import { defaultAnchorDir, resolveConfig, type StartFlags } from './start.ts';

/** Why a key may be replaced. */
export const ROTATION_REASONS: readonly RotationReason[] = REASONS;

/**
 * Gives the stopped site's log a new key: closes its open roads, ends the log, and begins the one after it.
 * @throws Fault `server.never_started` where no site has a log yet; `ledger.in_use` while a site runs on the data; the
 * faults of `rotateLedger`.
 */
export async function rotateSite(
  env: Env,
  flags: StartFlags,
  plan: { readonly reason: RotationReason; readonly keepKey: boolean },
): Promise<Rotation> {
  const { config, dataDir } = resolveConfig(env, flags);
  const running = await loadRunningBundle(path.join(dataDir, 'governance'));
  if (running === null) {
    const message = `no site was ever started on ${dataDir}: start it once (sekisho up), or name another with --data`;
    throw new Fault('conflict', 'server.never_started', message);
  }
  using _held = await holdDataDirectory(dataDir);
  await using database = await openDatabase({ url: config.storage.url.reveal(), dir: dataDir });
  const anchorDir = config.ledger.anchor ?? defaultAnchorDir(env);
  const place = ledgerOptions({ config, dataDir, anchorDir, world: systemWorld(), log: silentLog });
  const options = { ...place, site: running.site.name, database };
  return await rotateLedger(options, {
    reason: plan.reason,
    keepKey: plan.keepKey,
    settle: async (ledger) => {
      await openLeafOutbox(database, ledger);
      await closeUnfinished(ledger);
    },
  });
}
