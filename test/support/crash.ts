import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readBundle } from '../../src/ledger/segment.ts';
import { tilePath } from '../../src/ledger/tile-path.ts';
import { parseVkey, TreeRoot, verifyCheckpoint, verifyReceipt } from '../../src/ledger/verify/index.ts';
import type { Exchange } from './load.ts';
import type { Site } from './site.ts';

const WIDTH = 256;
const HASH_BYTES = 32;

/** What a client that trusts nobody remembers of a log: every root it was ever shown. */
export class LogMemory {
  readonly logId: string;
  readonly vkey: string;
  readonly #roots = new Map<number, string>();
  #largest = 0;

  private constructor(logId: string, vkey: string) {
    this.logId = logId;
    this.vkey = vkey;
  }

  static async of(site: Site): Promise<LogMemory> {
    const { logs }: { logs: { url: string; vkey: string }[] } = JSON.parse((await site.call('/ledger')).text);
    assert.equal(logs.length, 1);
    const [{ url, vkey } = { url: '', vkey: '' }] = logs;
    return new LogMemory(url.slice('/ledger/'.length), vkey);
  }

  /** Takes note of a checkpoint; two roots for one size are a fork. */
  async see(note: string): Promise<number> {
    const { size, root } = await verifyCheckpoint(note, [parseVkey(this.vkey)]);
    const known = Number(size);
    const shown = base64(root);
    assert.equal(this.#roots.get(known) ?? shown, shown, `a fork at ${known} leaves`);
    this.#roots.set(known, shown);
    this.#largest = Math.max(this.#largest, known);
    return known;
  }

  /** Derives the tree anew from the tiles: every root ever seen is that of a beginning of today's log. */
  async hold(site: Site): Promise<number> {
    const before = this.#largest;
    const size = await this.see((await this.#read(site, 'checkpoint')).toString());
    assert.ok(size >= before, `the log shrank from ${before} to ${size} leaves`);
    const tree = new TreeRoot();
    for (let number = 0; number * WIDTH < size; number++) {
      const width = Math.min(WIDTH, size - number * WIDTH);
      const tile = await this.#read(site, tilePath({ level: 0, number, width }));
      assert.equal(tile.length, width * HASH_BYTES);
      for (let at = 0; at < tile.length; at += HASH_BYTES) {
        tree.append(Uint8Array.from(tile.subarray(at, at + HASH_BYTES)));
        const seen = this.#roots.get(tree.size);
        if (seen !== undefined) assert.equal(base64(tree.root()), seen, `a fork at ${tree.size} leaves`);
      }
    }
    return size;
  }

  /** Every leaf of the log, as an auditor reads it. */
  async leaves(site: Site): Promise<readonly Leaf[]> {
    const size = await this.hold(site);
    const leaves: Leaf[] = [];
    for (let number = 0; number * WIDTH < size; number++) {
      const width = Math.min(WIDTH, size - number * WIDTH);
      const bundle = readBundle(await this.#read(site, tilePath({ level: 'entries', number, width })));
      assert.ok(bundle !== null && bundle.length === width);
      for (const entry of bundle) leaves.push(JSON.parse(entry.toString()));
    }
    return leaves;
  }

  /** Reads below the log's folder. */
  async read(site: Site, at: string): Promise<Buffer | null> {
    const headers = { authorization: `Bearer ${site.adminKey}` };
    const response = await fetch(new URL(`/ledger/${this.logId}/${at}`, site.url), { headers });
    const bytes = Buffer.from(await response.arrayBuffer());
    return response.status === 200 ? bytes : null;
  }

  async #read(site: Site, at: string): Promise<Buffer> {
    const bytes = await this.read(site, at);
    assert.ok(bytes !== null, `${at} is not served`);
    return bytes;
  }
}

/** The members of leaves that are looked at here. */
export interface Leaf {
  readonly kind: string;
  readonly rid?: string;
  readonly attempt?: number;
  readonly effect?: string;
  readonly of?: number;
  readonly status?: string;
}

interface ShownReceipt {
  readonly checkpoint: string;
  readonly open?: Readonly<Record<string, string>>;
  readonly attempts: readonly { readonly decision: { readonly entry: string } }[];
}

/** A receipt that was fetched and verified. */
export interface HeldReceipt {
  /** Of the road's last outcome. */
  readonly status: string;
  /** Whether `body` is what the decision says was sent to the provider. */
  sent(body: Buffer): boolean;
}

/**
 * Asks for the receipt of an acknowledged id and verifies it offline, with the bodies that the client has: it is there,
 * closed, opens, and lies under a checkpoint of the log that the client knows.
 */
export async function holdReceipt(
  site: Site,
  memory: LogMemory,
  id: string,
  exchange: Exchange | null,
): Promise<HeldReceipt> {
  const reply = await site.call(`/v1/receipts/${id}?wait=5`);
  assert.equal(reply.status, 200, `${id}: ${reply.text}`);
  const bodies = exchange === null ? {} : { request: exchange.body };
  const whole = exchange?.whole === true ? { response: exchange.response } : {};
  const trust = { vkeys: [memory.vkey] };
  const verdict = await verifyReceipt(Buffer.from(reply.text), trust, { ...bodies, ...whole });
  assert.deepEqual(
    { verdict: verdict.verdict, state: verdict.state, reasons: verdict.reasons },
    { verdict: 'valid', state: 'closed', reasons: [] },
    id,
  );
  const receipt: ShownReceipt = JSON.parse(reply.text);
  await memory.see(receipt.checkpoint);
  const { in: received, req } = receipt.open ?? {};
  assert.ok(received !== undefined && req !== undefined, `${id} has no opening keys`);
  const status = verdict.summary?.attempts.at(-1)?.outcome?.status ?? 'none';
  const expected = exchange?.whole === true ? ['ok'] : ['ok', 'unknown'];
  assert.ok(expected.includes(status), `${id}: expected ${expected.join(' or ')}, found ${status}`);
  return { status, sent: (body) => commits(receipt, req, body) };
}

function commits(receipt: ShownReceipt, key: string, body: Buffer): boolean {
  const commitment = createHmac('sha256', Buffer.from(key, 'base64')).update(body).digest('base64');
  return receipt.attempts.some(({ decision }) => {
    const leaf: { c: { req: string | null } } = JSON.parse(Buffer.from(decision.entry, 'base64').toString());
    return leaf.c.req === commitment;
  });
}

/** Calls `work` for every item, eight at a time. */
export async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
