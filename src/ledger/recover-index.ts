import { readLeaf } from './leaf-facts.ts';
import type { LedgerOptions } from './options.ts';
import { RoadIndex } from './road-index.ts';
import type { RoadFile } from './roads.ts';
import { RoadStore, type Watermark } from './store.ts';
import type { TiledLog } from './tiled-log.ts';

const RECOVERY_CHUNK = 1024;
// A slot that was stored anew after a refusal may lie this far behind the watermark.
const SLOT_MARGIN = 4096;

/** The index of a log, with everything that the log and its slots have and the database lacks. */
export async function recoverIndex(
  options: LedgerOptions,
  { logId, log, roads }: { logId: string; log: TiledLog; roads: RoadFile },
): Promise<RoadIndex> {
  const store = await RoadStore.open(options.database, logId);
  const known = await trustedWatermark(options, store, { leaves: log.size, slots: roads.next });
  const index = new RoadIndex(store, known.leaves);
  await recoverSlots(index, roads, Math.max(0, known.slots - SLOT_MARGIN));
  for (let first = known.leaves; first < log.size; first += RECOVERY_CHUNK) {
    const leaves = [];
    for (let at = first; at < Math.min(first + RECOVERY_CHUNK, log.size); at++)
      leaves.push(readLeaf(await log.entry(at)));
    const rids = leaves.flatMap((leaf) => (leaf.kind === 'site' ? [] : [leaf.rid]));
    const states = await index.findOrMake([...new Set(rids)]);
    for (const [i, leaf] of leaves.entries())
      index.note(first + i, leaf, leaf.kind === 'site' ? null : (states.get(leaf.rid) ?? null));
    await index.flush(roads.next);
  }
  return index;
}

// Slots are counted before they are durable, and a power loss takes the last ones away: their roads have no leaf, so the
// rows still hold. Leaves are counted when they are durable: an index with more of them is that of another log.
async function trustedWatermark(
  options: LedgerOptions,
  store: RoadStore,
  found: Watermark,
): Promise<Watermark> {
  const stored = await store.watermark();
  if (stored.leaves > found.leaves) {
    options.log.warn('ledger.index_rebuilt', { leaves: found.leaves });
    await store.clear();
    return { leaves: 0, slots: 0 };
  }
  if (stored.slots <= found.slots) return stored;
  const watermark = { leaves: stored.leaves, slots: found.slots };
  // Written down at once: new roads will take those slots, and the old number would speak for them.
  await store.write({ roads: [], sites: [], watermark });
  return watermark;
}

async function recoverSlots(index: RoadIndex, roads: RoadFile, from: number): Promise<void> {
  let chunk: { slot: number; rid: string }[] = [];
  const keep = async (): Promise<void> => {
    const states = await index.findOrMake(chunk.map(({ rid }) => rid));
    for (const { slot, rid } of chunk) {
      const road = states.get(rid);
      if (road !== undefined) index.keep(road, slot);
    }
    await index.flush(from);
    chunk = [];
  };
  for await (const found of roads.scan(from)) {
    chunk.push(found);
    if (chunk.length === RECOVERY_CHUNK) await keep();
  }
  await keep();
}
