import { Fault } from '../core/fault.ts';
import { makeProof, makeReceipt, type Evidence } from './receipt.ts';
import type { KeyFiles } from './erase-many.ts';
import type { RoadIndex } from './road-index.ts';
import { isClosed, type RoadState } from './road-state.ts';
import { fieldKey, type RoadFile } from './roads.ts';
import type { LeafChoice, OpenedField, Receipt, RoadOwner } from './types.ts';

/** What one log, at work or ended, knows of its roads: whose they are, their receipts, and what opens them. */
export class RoadReader {
  readonly #index: RoadIndex;
  readonly #roads: RoadFile;
  readonly #evidence: Evidence;

  constructor(index: RoadIndex, roads: RoadFile, evidence: Evidence) {
    this.#index = index;
    this.#roads = roads;
    this.#evidence = evidence;
  }

  /** What `survey` and `eraseAll` work on; `today` in days since 1970, UTC. */
  keyFiles(today: number): KeyFiles {
    return { roads: this.#roads, index: this.#index, today };
  }

  async has(rid: string): Promise<boolean> {
    return (await this.#index.find(rid)) !== null;
  }

  /** As `Ledger.owner`. */
  async owner(rid: string): Promise<RoadOwner | null> {
    const road = await this.#recorded(rid);
    return road === null ? null : ((await this.#roads.read(road.slot, rid))?.owner ?? null);
  }

  /** As `Ledger.receipt`. */
  async receipt(rid: string): Promise<Receipt | null> {
    const road = await this.#index.find(rid);
    if (road === null) return null;
    const receipt = await makeReceipt(this.#evidence, road);
    const record = road.slot === null ? null : await this.#roads.read(road.slot, rid);
    return receipt !== null && record?.erased === true ? { ...receipt, erased: true } : receipt;
  }

  /** As `Ledger.erase`. */
  async erase(rid: string): Promise<void> {
    const road = await this.#recorded(rid);
    if (road === null) throw new Fault('missing', 'ledger.no_receipt', 'no receipt with this id');
    if (!isClosed(road))
      throw new Fault('conflict', 'ledger.road_open', 'the request has not ended; erase it afterwards');
    try {
      await this.#roads.erase(road.slot, rid);
    } catch (cause) {
      const message = 'the request key could not be overwritten; ask again';
      throw new Fault('unavailable', 'ledger.unavailable', message, { cause });
    }
  }

  /** As `Ledger.opening`. */
  async opening(rid: string): Promise<Partial<Record<OpenedField, string>> | null> {
    const road = await this.#recorded(rid);
    if (road === null) return null;
    const key = (await this.#roads.read(road.slot, rid))?.key ?? null;
    if (key === null) return {};
    const open = (field: OpenedField): string => fieldKey(key, field).toString('base64');
    return {
      in: open('in'),
      ...(road.decisions.some(({ hasRequest }) => hasRequest) ? { req: open('req') } : {}),
      ...(road.outcomes.some(({ hasResponse }) => hasResponse) ? { res: open('res') } : {}),
    };
  }

  /** As `Ledger.proof`. */
  async proof(rid: string, choice: LeafChoice): Promise<string | null> {
    const road = await this.#index.find(rid);
    return road === null ? null : makeProof(this.#evidence, road, choice);
  }

  // A road whose first decision never became durable is nobody's.
  async #recorded(rid: string): Promise<(RoadState & { slot: number }) | null> {
    const road = await this.#index.find(rid);
    if (road === null || road.decisions.length === 0) return null;
    const { slot } = road;
    return slot === null ? null : { ...road, slot };
  }
}
