import type { Ledger, UnfinishedDecision } from '../ledger/types.ts';

/**
 * Closes the roads that an earlier process left open: what became of their requests is unknown, and the log says so.
 * Resolves with the number of outcomes written.
 */
export async function closeUnfinished(ledger: Ledger): Promise<number> {
  const unfinished = await ledger.unfinished();
  const lastOfRoad = new Map<string, number>();
  for (const { rid, attempt } of unfinished) {
    lastOfRoad.set(rid, Math.max(attempt, lastOfRoad.get(rid) ?? 0));
  }
  // Ascending, so that the outcome which carries `attempts` gets its road's highest index.
  const ordered = [...unfinished].sort((a, b) => a.attempt - b.attempt);
  await Promise.all(ordered.map((open) => appendUnknown(ledger, open, lastOfRoad.get(open.rid))));
  return ordered.length;
}

async function appendUnknown(
  ledger: Ledger,
  open: UnfinishedDecision,
  lastAttempt: number | undefined,
): Promise<void> {
  await ledger.appendRecovered({
    v: 1,
    kind: 'outcome',
    rid: open.rid,
    attempt: open.attempt,
    of: open.index,
    t: ledger.time(),
    status: 'unknown',
    code: null,
    http: null,
    observed: null,
    in: 0,
    out: 0,
    c: { res: null, peer: null },
    ...(open.attempt === lastAttempt ? { attempts: open.attempt } : {}),
  });
}
