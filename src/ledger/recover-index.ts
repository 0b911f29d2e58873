import { readLeaf } from './leaf-facts.ts';
import type { LedgerOptions } from './options.ts';
import { RoadIndex } from './road-index.ts';
import type { RoadFile } from './roads.ts';
import { RoadStore, type Watermark } from './store.ts';
import type { TiledLog } from './tiled-log.ts';

const RECOVERY_CHUNK = 1024;
// What a process that was killed had not told the index yet is read into memory and told in the background, for the store
// takes many times longer than reading. An index that is to be made anew is written on the way.
const RECOVERY_BACKLOG = 64_000;
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
  await recoverSlots(index, roads, known.slots);
  for (let first = known.leaves; first < log.size; first += RECOVERY_CHUNK) {
    const leaves = [];
    for (let at = first; at < Math.min(first + RECOVERY_CHUNK, log.size); at++)
      leaves.push(readLeaf(await log.entry(at)));
    const rids = leaves.flatMap((leaf) => (leaf.kind === 'site' ? [] : [leaf.rid]));
    const states = await index.findOrMake([...new Set(rids)]);
    for (const [i, leaf] of leaves.entries())
      index.note(first + i, leaf, leaf.kind === 'site' ? null : (states.get(leaf.rid) ?? null));
    if (index.backlog > RECOVERY_BACKLOG) await index.flush(roads.next);
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

async function recoverSlots(index: RoadIndex, roads: RoadFile, known: number): Promise<void> {
  const from = Math.max(0, known - SLOT_MARGIN);
  let chunk: { slot: number; rid: string }[] = [];
  const keep = async (): Promise<void> => {
    // The store has nothing of a road whose slot it did not know: its leaves came after its slot.
    const areNew = (chunk[0]?.slot ?? 0) >= known;
    const states = await index.findOrMake(
      chunk.map(({ rid }) => rid),
      areNew,
    );
    for (const { slot, rid } of chunk) {
      const road = states.get(rid);
      if (road !== undefined) index.keep(road, slot);
    }
    if (index.backlog > RECOVERY_BACKLOG) await index.flush(from);
    chunk = [];
  };
  for await (const found of roads.scan(from)) {
    if (found.slot === known) await keep();
    chunk.push(found);
    if (chunk.length === RECOVERY_CHUNK) await keep();
  }
  await keep();
}
