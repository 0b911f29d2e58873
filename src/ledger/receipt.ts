import type { SignedCheckpoint } from './checkpoints.ts';
import { isClosed, lastIndex, type RoadState } from './road-state.ts';
import type { TiledLog } from './tiled-log.ts';
import { hashToBase64 } from './tree.ts';
import type { LeafChoice, Receipt, ReceiptEntry } from './types.ts';

/** What receipts are made of. */
export interface Evidence {
  readonly origin: string;
  readonly log: TiledLog;
  readonly checkpoints: { atLeast(size: number): Promise<SignedCheckpoint> };
}

/** The receipt over the road's durable leaves, or null when it has none. */
export async function makeReceipt(evidence: Evidence, live: RoadState): Promise<Receipt | null> {
  // A leaf that arrives while proofs are made belongs to the next receipt.
  const road = { ...live, decisions: [...live.decisions], outcomes: [...live.outcomes] };
  if (road.decisions.length === 0) return null;
  const checkpoint = await evidence.checkpoints.atLeast(lastIndex(road) + 1);
  const attempts = road.decisions.map(async ({ attempt, index }) => {
    const outcome = road.outcomes.find((one) => one.attempt === attempt);
    return {
      decision: await proven(evidence, checkpoint, index),
      outcome: outcome === undefined ? null : await proven(evidence, checkpoint, outcome.index),
    };
  });
  return {
    v: 1,
    id: road.rid,
    origin: evidence.origin,
    level: 'logged',
    state: isClosed(road) ? 'closed' : 'open',
    checkpoint: checkpoint.note,
    attempts: await Promise.all(attempts),
  };
}

/** C2SP tlog-proof of one leaf with its entry in the `extra` line, or null when the road has no such leaf. */
export async function makeProof(
  evidence: Evidence,
  road: RoadState,
  choice: LeafChoice,
): Promise<string | null> {
  const attempt = choice.attempt ?? road.decisions.at(-1)?.attempt;
  const leaves = choice.leaf === 'decision' ? road.decisions : road.outcomes;
  const leaf = leaves.find((one) => one.attempt === attempt);
  if (leaf === undefined) return null;
  const checkpoint = await evidence.checkpoints.atLeast(leaf.index + 1);
  const { index, entry, path } = await proven(evidence, checkpoint, leaf.index);
  const lines = ['c2sp.org/tlog-proof@v1', `extra ${entry}`, `index ${index}`, ...path];
  return `${lines.join('\n')}\n\n${checkpoint.note}`;
}

async function proven(
  evidence: Evidence,
  checkpoint: SignedCheckpoint,
  index: number,
): Promise<ReceiptEntry> {
  const { entry, path } = await evidence.log.prove(index, checkpoint);
  return { index, entry: entry.toString('base64'), path: path.map(hashToBase64) };
}
