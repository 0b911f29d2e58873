import assert from 'node:assert/strict';
import { verifyReceipt, type Verdict } from '../../src/ledger/verify/index.ts';
import { loopbackProvider, type GovernanceDrafts, type LoopbackProvider } from './governance.ts';
import type { Provider } from './provider.ts';
import type { Site } from './site.ts';

/** Governance with one model name, `chat`, served by these providers in order; each serves it as `m`. */
export function oneModel(
  providers: readonly {
    readonly id: string;
    readonly provider: Provider;
    readonly facts?: Partial<LoopbackProvider>;
  }[],
): GovernanceDrafts {
  return {
    providers: providers.map(({ id, provider, facts }) =>
      loopbackProvider({ id, url: provider.url, models: { m: 'c3' }, ...facts }),
    ),
    models: { chat: { from: providers.map(({ id }) => ({ endpoint: `${id}/m`, weight: 1 })) } },
  };
}

/** A chat body that asks `text`. */
export function chatBody(text: string, more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: text }], ...more });
}

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly request: Buffer;
  readonly response: Buffer;
  readonly text: string;
  /** The connection broke before the body's end. */
  readonly broken: boolean;
}

/** Sends a chat request, or another operation `at` its path, and keeps the exact bytes of both bodies. */
export async function chat(
  site: Site,
  body: string,
  headers: Readonly<Record<string, string>> = {},
  at = '/v1/chat/completions',
): Promise<Asked> {
  return (await openChat(site, body, headers, at)).whole();
}

/** Sends a chat request and resolves with the reply's head, which for a stream comes with its first event. */
export async function openChat(
  site: Site,
  body: string,
  headers: Readonly<Record<string, string>> = {},
  at = '/v1/chat/completions',
): Promise<{ readonly status: number; whole(): Promise<Asked> }> {
  const reply = await fetch(new URL(at, site.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${site.adminKey}`, 'content-type': 'application/json', ...headers },
    body,
  });
  const whole = async (): Promise<Asked> => {
    const chunks: Uint8Array[] = [];
    let broken = false;
    try {
      for await (const chunk of reply.body ?? []) chunks.push(chunk);
    } catch {
      broken = true;
    }
    const response = Buffer.concat(chunks);
    return {
      status: reply.status,
      headers: reply.headers,
      request: Buffer.from(body),
      response,
      text: response.toString(),
      broken,
    };
  };
  return { status: reply.status, whole };
}

/** The receipt of an answer, once closed. */
export async function receiptOf(site: Site, asked: Asked): Promise<string> {
  const id = asked.headers.get('sekisho-receipt');
  assert.ok(id !== null, 'the reply names its receipt');
  const reply = await site.call(`/v1/receipts/${id}?wait=10`);
  assert.equal(reply.status, 200, reply.text);
  return reply.text;
}

/** The public key of the site's log. */
export async function logKey(site: Site): Promise<string> {
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { vkey: string }[] };
  return logs[0]?.vkey ?? '';
}

/** Verifies the receipt of an answer with both bodies. */
export async function verified(site: Site, asked: Asked): Promise<Verdict> {
  const receipt = Buffer.from(await receiptOf(site, asked));
  const bodies = { request: asked.request, response: asked.response };
  return verifyReceipt(receipt, { vkeys: [await logKey(site)] }, bodies);
}

/** The leaves of a receipt, parsed. */
export function leavesOf(
  receipt: string,
): { decision: Record<string, unknown>; outcome: Record<string, unknown> | null }[] {
  const { attempts } = JSON.parse(receipt) as {
    attempts: { decision: { entry: string }; outcome: { entry: string } | null }[];
  };
  const leaf = (entry: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(entry, 'base64').toString()) as Record<string, unknown>;
  return attempts.map(({ decision, outcome }) => ({
    decision: leaf(decision.entry),
    outcome: outcome === null ? null : leaf(outcome.entry),
  }));
}
