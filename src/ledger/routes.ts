import { Fault } from '../core/fault.ts';
import { SECOND } from '../core/duration.ts';
import { bind, type BoundRoute, type RouteCaller, type RouteReply } from '../core/route.ts';
import { getCheckpoint, getEntries, getReceipt, getTile, listLogs } from './contract.ts';
import type { Ledger } from './types.ts';

const TEXT = 'text/plain; charset=utf-8';
const OCTETS = 'application/octet-stream';
const IMMUTABLE = { 'cache-control': 'public, max-age=31536000, immutable' };
const BRIEFLY = { 'cache-control': 'public, max-age=1' };
const RECEIPT_ID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;

export function ledgerRoutes(ledger: Ledger): readonly BoundRoute[] {
  return [
    bind(getReceipt, async ({ params, query, caller, header, signal }) => {
      const id = params['id'] ?? '';
      const mine = await access(ledger, id, caller);
      if (query.wait !== undefined) await ledger.waitClosed(id, query.wait * SECOND, signal);
      if (query.leaf !== undefined || prefersText(header('accept'))) {
        return text(
          await ledger.proof(id, { leaf: query.leaf ?? 'decision', attempt: query.attempt ?? null }),
        );
      }
      const receipt = await ledger.receipt(id);
      if (receipt === null) throw noReceipt();
      const open = mine ? await ledger.opening(id) : null;
      return {
        json: open === null ? receipt : { ...receipt, open },
        headers: { 'cache-control': 'no-store' },
      };
    }),
    bind(listLogs, async () => ({
      json: { logs: [{ origin: ledger.origin, vkey: ledger.vkey, url: `/ledger/${ledger.logId}` }] },
    })),
    bind(getCheckpoint, async ({ params }) => {
      checkLog(ledger, params);
      return { content: { type: TEXT, bytes: Buffer.from(await ledger.checkpoint()) }, headers: BRIEFLY };
    }),
    bind(getEntries, async ({ params }) => tile(ledger, params, 'tile/entries')),
    bind(getTile, async ({ params }) => tile(ledger, params, 'tile')),
  ];
}

// A stranger's receipt and one that does not exist look the same.
async function access(ledger: Ledger, id: string, caller: RouteCaller | null): Promise<boolean> {
  const owner = RECEIPT_ID.test(id) ? await ledger.owner(id) : null;
  if (owner === null || caller === null) throw noReceipt();
  if (owner.tenant !== caller.tenant && !caller.roles.includes('auditor')) throw noReceipt();
  return owner.caller === caller.id;
}

function noReceipt(): Fault {
  return new Fault('missing', 'ledger.no_receipt', 'no receipt with this id');
}

function prefersText(accept: string | null): boolean {
  return accept !== null && /^\s*text\/plain\b/.test(accept);
}

function text(proof: string | null): RouteReply {
  if (proof === null) throw new Fault('missing', 'ledger.no_leaf', 'the receipt has no such leaf');
  return { content: { type: TEXT, bytes: Buffer.from(proof) } };
}

function checkLog(ledger: Ledger, params: Readonly<Record<string, string>>): void {
  if (params['log'] !== ledger.logId) throw new Fault('missing', 'ledger.no_log', 'no log with this id');
}

async function tile(
  ledger: Ledger,
  params: Readonly<Record<string, string>>,
  folder: string,
): Promise<RouteReply> {
  checkLog(ledger, params);
  const bytes = await ledger.tile(`${folder}/${params['rest'] ?? ''}`);
  if (bytes === null)
    throw new Fault('missing', 'ledger.no_tile', 'the log has no such tile at its signed size');
  return { content: { type: OCTETS, bytes }, headers: IMMUTABLE };
}
