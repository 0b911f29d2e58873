import { loopbackProvider } from './governance.ts';
import { startProvider, type Provider } from './provider.ts';
import { startSite, type Site } from './site.ts';
import { tinyModels, tinyReady } from './tiny-model.ts';

/** A site with the callers' names `scripted`, over HTTP, and `tiny`, a real model on the local engine, both ready. */
export async function siteWithTwoModels(
  held: AsyncDisposableStack,
): Promise<{ readonly site: Site; readonly provider: Provider }> {
  const provider = held.use(await startProvider());
  const site = await startSite({
    models: await tinyModels(held),
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
  await tinyReady(site);
  return { site, provider };
}
