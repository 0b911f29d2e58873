import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { systemWorld } from '../../src/core/world.ts';
import { importModel } from '../../src/gateway/model/import.ts';
import { ModelStore } from '../../src/gateway/model/store.ts';
import { until } from './observe.ts';
import type { Site } from './site.ts';
import { writeTinyGguf } from './tiny-gguf.ts';

const READY_MS = 60_000;

/** A folder of models that holds one of random weights by the name `tiny`; `held` removes it. */
export async function tinyModels(held: AsyncDisposableStack): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-models-'));
  held.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = await writeTinyGguf(path.join(folder, 'tiny.gguf'));
  const models = path.join(folder, 'models');
  const facts = { name: 'tiny', licence: null, world: systemWorld(), record: async () => {} };
  await importModel(file, { ...facts, store: new ModelStore(models) });
  return models;
}

/** Resolves once the site's engine has loaded it. */
export async function tinyReady(site: Site): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const { checks } = JSON.parse((await site.call('/readyz')).text) as { checks: Record<string, string>[] };
    return checks.some(({ name, state }) => name === 'model tiny' && state === 'ok');
  };
  await until(ready, 'the local model is ready', READY_MS);
}
