import type { Site } from '../test/support/site.ts';

/** One plain exchange with the site: its bodies as they went over the wire, and its closed receipt. */
export interface SampleExchange {
  readonly request: Buffer;
  readonly response: Buffer;
  readonly receipt: Buffer;
  readonly vkey: string;
}

export async function sampleExchange(site: Site): Promise<SampleExchange> {
  const content = '関所 checkpoint '.repeat(52);
  const request = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content }] });
  const reply = await site.call('/v1/chat/completions', { body: request });
  const receipt = await site.call(`/v1/receipts/${reply.headers.get('sekisho-receipt')}?wait=10`);
  // The format of `/ledger` is fixed, and this is our own site.
  const { logs } = JSON.parse((await site.call('/ledger')).text) as { logs: { vkey: string }[] };
  return {
    request: Buffer.from(request),
    response: Buffer.from(reply.text),
    receipt: Buffer.from(receipt.text),
    vkey: logs[0]?.vkey ?? '',
  };
}
