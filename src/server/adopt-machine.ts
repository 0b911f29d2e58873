import path from 'node:path';
import type { Env } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { silentLog } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import { openLedger } from '../ledger/open.ts';
import { loadRunningBundle } from '../policy/adopt.ts';
import { openDatabase } from '../storage/database.ts';
import { holdDataDirectory } from './data-place.ts';
import { ledgerOptions } from './site.ts';
import { defaultAnchorDir, resolveConfig, type StartFlags } from './start.ts';

/**
 * Says that the stopped site was moved here with its anchor and goes on nowhere else; the log records it. Gives origin
 * and index of the leaf.
 * @throws Fault `server.never_started`, `ledger.in_use`, the faults of `openLedger`.
 */
export async function adoptMachine(
  env: Env,
  flags: StartFlags,
): Promise<{ readonly origin: string; readonly index: number }> {
  const { config, dataDir } = resolveConfig(env, flags);
  const running = await loadRunningBundle(path.join(dataDir, 'governance'));
  if (running === null) {
    const message = `no site was ever started on ${dataDir}: name another with --data`;
    throw new Fault('conflict', 'server.never_started', message);
  }
  using _held = await holdDataDirectory(dataDir);
  await using database = await openDatabase({ url: config.storage.url.reveal(), dir: dataDir });
  const world = systemWorld();
  const anchorDir = config.ledger.anchor ?? defaultAnchorDir(env);
  const place = ledgerOptions({ config, dataDir, anchorDir, world, log: silentLog });
  await using ledger = await openLedger({ ...place, site: running.site.name, database, adoptMachine: true });
  const { machine = null } = place;
  const index = await ledger.appendSite({
    kind: 'control',
    id: world.ids.next('c'),
    event: 'machine-adopted',
    machine,
  });
  return { origin: ledger.origin, index };
}
