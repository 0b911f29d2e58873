import { loopbackProvider } from './governance.ts';
import type { GovernanceDrafts } from './governance.ts';

/** The drafts of a site whose model `chat` is answered by one provider, for labels up to c2. */
export function chatOver(provider: { readonly url: string }): { readonly governance: GovernanceDrafts } {
  return {
    governance: {
      providers: [loopbackProvider({ id: 'near', url: provider.url, models: { scripted: 'c2' } })],
      models: { chat: { from: [{ endpoint: 'near/scripted' }] } },
    },
  };
}

/** One request of a load, as far as its client has got with it. */
export interface Exchange {
  /** Stands in the prompt and in no other request. */
  readonly canary: string;
  readonly stream: boolean;
  readonly body: Buffer;
  status: number | null;
  /** Acknowledged: the client has seen this receipt id. */
  rid: string | null;
  /** What has arrived of the body. */
  response: Buffer;
  /** The body arrived to its end. */
  whole: boolean;
}

export interface Load {
  readonly concurrency: number;
  /** Requests in all; without end unless told. */
  readonly count?: number;
  /** No request begins after it; those that run are not cut. */
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Asks plain and streamed questions of the model `chat` in turn until enough, and resolves when the last has ended. A
 * worker ends with its first connection that breaks: the site is gone then. Exchanges go to `into` as they begin.
 */
export async function drive(
  site: { readonly url: string; readonly adminKey: string },
  load: Load,
  into: Exchange[],
): Promise<void> {
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < (load.count ?? Infinity) && load.signal?.aborted !== true) {
      const exchange = newExchange({ stream: begun++ % 2 === 1 });
      into.push(exchange);
      try {
        await ask(site, exchange, load.headers);
      } catch {
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: load.concurrency }, worker));
}

/** Asks `count` questions one after the other. */
export async function askInTurn(
  site: { readonly url: string; readonly adminKey: string },
  count: number,
): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  await drive(site, { concurrency: 1, count }, exchanges);
  return exchanges;
}

let made = 0;

/** A question that was not asked yet. */
export function newExchange({ stream }: { readonly stream: boolean }): Exchange {
  made += 1;
  const canary = `canary-${process.pid}-${String(made).padStart(6, '0')}-end`;
  const body = { model: 'chat', stream, messages: [{ role: 'user', content: `say ${canary} again` }] };
  return {
    canary,
    stream,
    body: Buffer.from(JSON.stringify(body)),
    status: null,
    rid: null,
    response: Buffer.alloc(0),
    whole: false,
  };
}

/** Asks it; rejects when the connection breaks. */
export async function ask(
  { url, adminKey }: { readonly url: string; readonly adminKey: string },
  exchange: Exchange,
  headers?: Load['headers'],
): Promise<void> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json', ...headers },
    body: exchange.body,
  });
  exchange.status = response.status;
  exchange.rid = response.headers.get('sekisho-receipt');
  for await (const piece of response.body ?? [])
    exchange.response = Buffer.concat([exchange.response, piece]);
  exchange.whole = true;
}
