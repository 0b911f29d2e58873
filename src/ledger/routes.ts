import { Fault } from '../core/fault.ts';
import { SECOND } from '../core/duration.ts';
import { bind, type BoundRoute, type RouteCaller, type RouteReply } from '../core/route.ts';
import { getCheckpoint, getEntries, getReceipt, getTile, listLogs } from './contract.ts';
import type { Ledger, LeafChoice, ServedLog } from './types.ts';

const TEXT = 'text/plain; charset=utf-8';
const OCTETS = 'application/octet-stream';
/** Entries show the traffic of every organisation: no cache between us and an auditor keeps them. */
const PRIVATE = { 'cache-control': 'private, no-store' };
const IMMUTABLE = { 'cache-control': 'public, max-age=31536000, immutable' };
const BRIEFLY = { 'cache-control': 'public, max-age=1' };
/** What follows `tile/` in the path of a tile of hashes; `entries/` is behind another guard. */
const HASH_TILE = /^\d{1,2}\//;
const RECEIPT_ID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;

export function ledgerRoutes(ledger: Ledger): readonly BoundRoute[] {
  return [
    bind(getReceipt, async ({ params, query, caller, header, signal }) => {
      const id = params['id'] ?? '';
      const mine = await access(ledger, id, caller);
      if (query.wait !== undefined) await ledger.waitClosed(id, query.wait * SECOND, signal);
      if (query.leaf !== undefined || prefersText(header('accept'))) {
        return text(await chosenProof(ledger, id, query));
      }
      const receipt = await ledger.receipt(id);
      if (receipt === null) throw noReceipt();
      const open = mine && receipt.erased !== true ? await ledger.opening(id) : null;
      return {
        json: open === null ? receipt : { ...receipt, open },
        headers: { 'cache-control': 'no-store' },
      };
    }),
    bind(listLogs, async () => ({
      json: {
        logs: ledger.logs().map(({ origin, vkey, logId, ended }) => ({
          origin,
          vkey,
          url: `/ledger/${logId}`,
          ended,
        })),
      },
    })),
    bind(getCheckpoint, async ({ params }) => {
      const note = await servedLog(ledger, params).checkpoint();
      return { content: { type: TEXT, bytes: Buffer.from(note) }, headers: BRIEFLY };
    }),
    bind(getEntries, async ({ params }) =>
      tile(ledger, params, { folder: 'tile/entries', headers: PRIVATE }),
    ),
    bind(getTile, async ({ params }) => {
      if (!HASH_TILE.test(params['rest'] ?? '')) throw noTile();
      return tile(ledger, params, { folder: 'tile', headers: IMMUTABLE });
    }),
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

/** The leaf that was asked for; without a wish the outcome of the attempt, and its decision while there is none. */
async function chosenProof(
  ledger: Ledger,
  id: string,
  asked: { readonly leaf?: LeafChoice['leaf'] | undefined; readonly attempt?: number | undefined },
): Promise<string | null> {
  const attempt = asked.attempt ?? null;
  if (asked.leaf !== undefined) return ledger.proof(id, { leaf: asked.leaf, attempt });
  return (
    (await ledger.proof(id, { leaf: 'outcome', attempt })) ??
    (await ledger.proof(id, { leaf: 'decision', attempt }))
  );
}

function prefersText(accept: string | null): boolean {
  return accept !== null && /^\s*text\/plain\b/.test(accept);
}

function text(proof: string | null): RouteReply {
  if (proof === null) throw new Fault('missing', 'ledger.no_leaf', 'the receipt has no such leaf');
  return { content: { type: TEXT, bytes: Buffer.from(proof) } };
}

function servedLog(ledger: Ledger, params: Readonly<Record<string, string>>): ServedLog {
  const log = ledger.logs().find(({ logId }) => logId === params['log']);
  if (log !== undefined) return log;
  throw new Fault('missing', 'ledger.no_log', 'no log with this id');
}

async function tile(
  ledger: Ledger,
  params: Readonly<Record<string, string>>,
  { folder, headers }: { readonly folder: string; readonly headers: Readonly<Record<string, string>> },
): Promise<RouteReply> {
  const bytes = await servedLog(ledger, params).tile(`${folder}/${params['rest'] ?? ''}`);
  if (bytes === null) throw noTile();
  return { content: { type: OCTETS, bytes }, headers };
}

function noTile(): Fault {
  return new Fault('missing', 'ledger.no_tile', 'the log has no such tile at its signed size');
}
