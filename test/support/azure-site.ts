import assert from 'node:assert/strict';
import { after } from 'node:test';
import { loopbackProvider } from './governance.ts';
import { startProvider, type Provider } from './provider.ts';
import { leavesOf } from './road.ts';
import { ONE_ATTEMPT, startSite, type Site } from './site.ts';
import { tinyModels, tinyReady } from './tiny-model.ts';

/** Of Azure's interface. */
export const VERSION = '2024-10-21';
/** A callers' name that no path holds unescaped. */
export const DEPLOYMENT = 'team/gpt:4.1';

interface AzureSite {
  readonly site: Site;
  /** Speaks Azure's protocol and OpenAI's, each on its paths. */
  readonly azure: Provider;
  readonly abroad: Provider;
}

/** A site as `startAzureSite` makes it, for all tests of the file that calls this; it ends with them. */
export async function useAzureSite(): Promise<
  AzureSite & { readonly leaves: (reply: { readonly headers: Headers }) => ReturnType<typeof leavesBehind> }
> {
  const held = new AsyncDisposableStack();
  try {
    const started = await startAzureSite(held);
    after(async () => held.disposeAsync());
    return { ...started, leaves: async (reply) => leavesBehind(started.site, reply) };
  } catch (error) {
    // What was started is ended also when a later start fails.
    await held.disposeAsync();
    throw error;
  }
}

/**
 * A site with providers of every kind. Callers' names of models: `DEPLOYMENT` is a deployment of Azure's, `v1` one of its
 * interface without versions, `openai` is of the same provider, `abroad` is denied, `tiny` is local.
 */
async function startAzureSite(held: AsyncDisposableStack): Promise<AzureSite> {
  const azure = held.use(await startProvider());
  const abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  const facts = { kind: 'azure', secret: 'azure' };
  const models = { 'gpt-4.1': 'c3' } as const;
  const only = (endpoint: string): object => ({ from: [{ endpoint, weight: 1 }] });
  const site = await startSite({
    models: await tinyModels(held),
    secrets: { azure: 'azure-secret' },
    config: { routing: ONE_ATTEMPT },
    governance: {
      providers: [
        {
          ...loopbackProvider({ id: 'classic', url: azure.url, models }),
          ...facts,
          url: `${azure.url}/openai`,
          apiVersion: VERSION,
        },
        {
          ...loopbackProvider({ id: 'plain', url: azure.url, models }),
          ...facts,
          url: `${azure.url}/openai/v1`,
        },
        loopbackProvider({ id: 'openai', url: azure.url, models }),
        loopbackProvider({ id: 'abroad', url: abroad.url, models, country: 'US' }),
        { id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } },
      ],
      models: {
        [DEPLOYMENT]: only('classic/gpt-4.1'),
        v1: only('plain/gpt-4.1'),
        openai: only('openai/gpt-4.1'),
        abroad: only('abroad/gpt-4.1'),
        tiny: only('local/tiny'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  await tinyReady(site);
  return { site, azure, abroad };
}

/** The leaves of a reply, once its receipt is closed. */
async function leavesBehind(
  site: Site,
  { headers }: { readonly headers: Headers },
): Promise<ReturnType<typeof leavesOf>> {
  const id = headers.get('sekisho-receipt');
  const receipt = await site.call(`/v1/receipts/${id}?wait=10`);
  assert.equal(receipt.status, 200);
  assert.equal(JSON.parse(receipt.text).state, 'closed');
  return leavesOf(receipt.text);
}
