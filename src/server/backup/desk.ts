import type { Env } from '../../core/env.ts';
import { systemWorld } from '../../core/world.ts';
import { defaultAnchorDir, resolveConfig, type StartFlags } from '../start.ts';
import { makeBackup } from './backup.ts';
import { drillBackup, type DrillReport } from './drill.ts';
import type { Manifest } from './manifest.ts';
import { restoreBackup, type Restored } from './restore.ts';

/** Backs up the site of these flags. @throws Faults of `makeBackup`. */
export async function backupSite(
  env: Env,
  flags: StartFlags,
  plan: { readonly out: string; readonly withKeys: boolean },
): Promise<Manifest> {
  const { dataDir } = resolveConfig(env, flags);
  return makeBackup({ ...plan, dataDir, world: systemWorld() });
}

/** Puts a backup back as the data of these flags. @throws Faults of `restoreBackup`. */
export async function restoreSite(
  env: Env,
  flags: StartFlags,
  plan: { readonly backup: string; readonly keysDir: string | null },
): Promise<Restored & { readonly dataDir: string }> {
  const { dataDir } = resolveConfig(env, flags);
  return { ...(await restoreBackup({ ...plan, dataDir, world: systemWorld() })), dataDir };
}

/** Tries a backup beside the site of these flags. @throws Faults of `drillBackup`. */
export async function drillSite(
  env: Env,
  flags: StartFlags,
  plan: { readonly backup: string; readonly keysDir: string | null; readonly sample: number },
): Promise<DrillReport> {
  const { config, dataDir } = resolveConfig(env, flags);
  const anchorDir = config.ledger.anchor ?? defaultAnchorDir(env);
  return drillBackup({ ...plan, dataDir, anchorDir, world: systemWorld() });
}
