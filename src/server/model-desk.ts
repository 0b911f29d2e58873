import path from 'node:path';
import type { Env } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { silentLog } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import { CATALOGUE } from '../gateway/model/catalogue.ts';
import { importModel } from '../gateway/model/import.ts';
import { pullModel } from '../gateway/model/pull.ts';
import { ModelStore, type StoredModel } from '../gateway/model/store.ts';
import type { Posture } from '../policy/types.ts';
import { loadRunningBundle } from '../policy/adopt.ts';
import { pullPorts } from './model-source.ts';
import { openSite } from './site.ts';
import { defaultAnchorDir, modelsDir, resolveConfig, type StartFlags } from './start.ts';

/** A stored model, with the catalogue's word on it in both languages. */
export interface ShownModel extends StoredModel {
  readonly note: { readonly ja: string; readonly en: string } | null;
}

export interface PullWatch {
  readonly signal: AbortSignal;
  onProgress(done: number, total: number): void;
}

/** Brings models into the store of this machine, by the road of a site: recorded, checked, kept by digest. */
export interface ModelDesk extends AsyncDisposable {
  /** @throws Fault of `pullModel`. */
  pull(name: string, watch: PullWatch): Promise<ShownModel>;
  /** @throws Fault of `importModel`. */
  take(file: string, facts: { name: string; licence: string | null }): Promise<ShownModel>;
}

/** The models that are stored, whoever brought them. */
export async function storedModels(env: Env, flags: StartFlags): Promise<readonly ShownModel[]> {
  const { dataDir } = resolveConfig(env, flags);
  return (await new ModelStore(modelsDir(env, dataDir)).list()).map(shown);
}

/**
 * @throws Fault `server.never_started` where no bundle runs yet; `ledger.in_use` while a site runs on the data; the
 * faults of `openSite`.
 */
export async function openModelDesk(env: Env, flags: StartFlags): Promise<ModelDesk> {
  const { config, dataDir } = resolveConfig(env, flags);
  // Opening the site would adopt the drafts for good, which is not what fetching a model asks for.
  if ((await loadRunningBundle(path.join(dataDir, 'governance'))) === null) {
    const message = `no site was ever started on ${dataDir}: start it once (sekisho up), or name another with --data`;
    throw new Fault('conflict', 'server.never_started', message);
  }
  const world = systemWorld();
  const dir = modelsDir(env, dataDir);
  const anchorDir = config.ledger.anchor ?? defaultAnchorDir(env);
  const site = await openSite({ config, dataDir, anchorDir, modelsDir: dir, env, world, log: silentLog });
  const { egress, ledger, policy } = site;
  const posture = (): Posture => policy.bundle.site.posture;
  const ports = pullPorts({ egress, ledger, world, env, posture, modelsDir: dir });
  return {
    pull: async (name, watch) => shown(await pullModel(name, { ...ports, ...watch })),
    take: async (file, facts) => shown(await importModel(file, { ...ports, ...facts })),
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}

function shown(model: StoredModel): ShownModel {
  return { ...model, note: CATALOGUE.find(({ sha256 }) => sha256 === model.sha256)?.note ?? null };
}
