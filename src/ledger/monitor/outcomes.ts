import { Fault } from '../../core/fault.ts';
import { LONGEST_FILE } from '../check.ts';
import { readLeaf, type LeafFacts } from '../leaf-facts.ts';
import type { TreeHead } from '../note.ts';
import { readEnd } from '../rotation.ts';
import { readBundle } from '../segment.ts';
import { tilePath, tileWidth, type TileName } from '../tile-path.ts';
import { leafHash, TILE_WIDTH } from '../tree.ts';
import { Defect } from '../verify/findings.ts';
import { CompactTree } from './compact-tree.ts';
import { readTile, type RemoteLog } from './remote-log.ts';
import type { OpenDecision, Reading } from './state.ts';

export interface ReadUntil {
  readonly log: RemoteLog;
  readonly head: TreeHead;
  /** When the entries are read, in ms since 1970. */
  readonly now: number;
}

/** What one call reads at most: a million entries. Then what was read can be kept. */
const BUNDLES_A_CALL = 4096;
/** A site closes its roads in minutes; more than this many open at once is no site at work. */
export const MAX_OPEN = 100_000;
const RECEIPT_ID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;
const ROAD_KINDS = new Set<unknown>(['decision', 'outcome']);

/**
 * Reads the entries that follow what was read before, keeping the allowed decisions without an outcome. When it has read
 * all of them, they must give the signed root.
 * @throws Defect for entries that are missing, unreadable or not those of the root. @throws Faults of `RemoteLog.read`
 */
export async function readOn(before: Reading, { log, head, now }: ReadUntil): Promise<Reading> {
  const tree = new CompactTree(before.size, before.nodes);
  const open = new Map(before.open.map((one) => [roadOf(one), one]));
  let { successor } = before;
  for (let bundles = 0; tree.size < head.size && bundles < BUNDLES_A_CALL; bundles++) {
    const number = Math.floor(tree.size / TILE_WIDTH);
    const entries = await bundle(log, number, head.size);
    for (const entry of entries.slice(tree.size % TILE_WIDTH)) {
      note(open, { entry, index: tree.size, now });
      tree.append(leafHash(entry));
      // Where a leaf follows, the log has not ended.
      successor = readEnd(entry)?.successor ?? null;
    }
    if (open.size > MAX_OPEN)
      throw new Defect(1, `more than ${MAX_OPEN} allowed decisions without an outcome`);
  }
  if (tree.size === head.size && tree.root() !== head.root)
    throw new Defect(1, `its entries do not give the root that it signed for ${head.size} entries`);
  return { size: tree.size, nodes: tree.nodes, open: [...open.values()], successor };
}

/** The decisions that have waited longer than `withinMs` for their outcome. */
export function overdue({ open }: Reading, withinMs: number, now: number): readonly OpenDecision[] {
  return open.filter(({ since }) => now - since > withinMs);
}

async function bundle(log: RemoteLog, number: number, size: number): Promise<readonly Buffer[]> {
  const name: TileName = { level: 'entries', number, width: tileWidth('entries', number, size) };
  const found = await readTile(log, name, LONGEST_FILE);
  if (found === null) throw new Defect(1, `${tilePath(name)}: not there, though the signed size has it`);
  const entries = readBundle(found.bytes);
  if (entries?.length !== found.width)
    throw new Defect(1, `${tilePath(name)}: expected a bundle of ${found.width} whole entries`);
  return entries.slice(0, name.width);
}

function note(
  open: Map<string, OpenDecision>,
  { entry, index, now }: { readonly entry: Buffer; readonly index: number; readonly now: number },
): void {
  const leaf = roadLeaf(entry, index);
  if (leaf?.kind === 'outcome') open.delete(roadOf(leaf));
  if (leaf?.kind !== 'decision' || !leaf.allowed) return;
  const { rid, attempt } = leaf;
  // The site's word for the time may make a decision older than its first sight, never younger.
  open.set(roadOf(leaf), { index, rid, attempt, since: Math.min(leaf.t, now) });
}

// Kinds that are not known here say nothing about roads; a decision or an outcome that cannot be read hides something.
function roadLeaf(entry: Buffer, index: number): Exclude<LeafFacts, { kind: 'site' }> | null {
  try {
    const leaf = readLeaf(entry);
    if (leaf.kind === 'site') return null;
    if (RECEIPT_ID.test(leaf.rid)) return leaf;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (!ROAD_KINDS.has(kindOf(entry))) return null;
  }
  throw new Defect(1, `entry ${index} is a decision or an outcome that cannot be read`);
}

function kindOf(entry: Buffer): unknown {
  try {
    const leaf: unknown = JSON.parse(entry.toString('utf8'));
    return typeof leaf === 'object' && leaf !== null && 'kind' in leaf ? leaf.kind : null;
  } catch {
    return null;
  }
}

function roadOf({ rid, attempt }: { readonly rid: string; readonly attempt: number }): string {
  return `${rid} ${attempt}`;
}
