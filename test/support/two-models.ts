import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { systemWorld } from '../../src/core/world.ts';
import { importModel } from '../../src/gateway/model/import.ts';
import { ModelStore } from '../../src/gateway/model/store.ts';
import { loopbackProvider } from './governance.ts';
import { until } from './observe.ts';
import { startProvider, type Provider } from './provider.ts';
import { startSite, type Site } from './site.ts';
import { writeTinyGguf } from './tiny-gguf.ts';

const MODEL_READY_MS = 60_000;

/** A site with the callers' names `scripted`, over HTTP, and `tiny`, a real model on the local engine, both ready. */
export async function siteWithTwoModels(
  held: AsyncDisposableStack,
): Promise<{ readonly site: Site; readonly provider: Provider }> {
  const provider = held.use(await startProvider());
  const site = await startSite({
    models: await modelsWithTiny(held),
    governance: {
      providers: [
        loopbackProvider({ id: 'home', url: provider.url, models: { m: 'c3' } }),
        { id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } },
      ],
      models: {
        scripted: { from: [{ endpoint: 'home/m', weight: 1 }] },
        tiny: { from: [{ endpoint: 'local/tiny', weight: 1 }] },
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  const ready = async (): Promise<boolean> => {
    const { checks } = JSON.parse((await site.call('/readyz')).text) as { checks: Record<string, string>[] };
    return checks.some(({ name, state }) => name === 'model tiny' && state === 'ok');
  };
  await until(ready, 'the local model is ready', MODEL_READY_MS);
  return { site, provider };
}

async function modelsWithTiny(held: AsyncDisposableStack): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-clients-'));
  held.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = await writeTinyGguf(path.join(folder, 'tiny.gguf'));
  const models = path.join(folder, 'models');
  const facts = { name: 'tiny', licence: null, world: systemWorld(), record: async () => {} };
  await importModel(file, { ...facts, store: new ModelStore(models) });
  return models;
}
