import { Fault } from '../../core/fault.ts';
import type { Log } from '../../core/log.ts';
import { bind, type BoundRoute, type RouteCaller } from '../../core/route.ts';
import type { World } from '../../core/world.ts';
import type { Ledger, SiteEvent } from '../../ledger/types.ts';
import type { Database } from '../../storage/database.ts';
import type { Outbox } from '../../storage/outbox.ts';
import type { DecisionBook } from '../decisions/book.ts';
import { postErasure, type Ground } from './contract.ts';
import { ErasureStore, type Erasure } from './store.ts';

/** What an erasure has done so far; a test ends the process there. */
export type EraseStep = 'ordered' | 'recorded' | 'key-overwritten' | 'decision-erased';

export interface EraserOptions {
  readonly database: Database;
  readonly outbox: Outbox<SiteEvent>;
  readonly ledger: Ledger;
  readonly decisions: DecisionBook;
  readonly world: World;
  readonly log: Log;
  /** For tests; the program never sets it. */
  readonly at?: (step: EraseStep) => Promise<void>;
}

const RECEIPT_ID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;

/**
 * Destroys what opens a request: its key, and the facts that its decision was made from. The order and its leaf come
 * first, durably, so that an erasure that a crash cut short is finished by the next start.
 */
export class Eraser {
  readonly #options: EraserOptions;
  readonly #store: ErasureStore;

  private constructor(options: EraserOptions, store: ErasureStore) {
    this.#options = options;
    this.#store = store;
  }

  /** Call it after the outbox was pumped and open roads were closed; finishes what an earlier process had begun. */
  static async open(options: EraserOptions): Promise<Eraser> {
    const eraser = new Eraser(options, await ErasureStore.open(options.database, options.outbox));
    for (const erasure of await eraser.#store.undone()) await eraser.#carryOut(erasure);
    return eraser;
  }

  /**
   * Resolves once the overwriting is durable; asking again gives the same answer.
   * @throws Fault `ledger.no_receipt` for an id that this key may not know of, `ledger.road_open`, `ledger.unavailable`.
   */
  async erase(
    rid: string,
    ground: Ground,
    by: RouteCaller,
  ): Promise<Erasure & { readonly leaf: number | null }> {
    const { ledger, outbox, world, at } = this.#options;
    const owner = RECEIPT_ID.test(rid) ? await ledger.owner(rid) : null;
    const mine = owner !== null && (by.roles.includes('admin') || owner.tenant === by.tenant);
    if (!mine) throw new Fault('missing', 'ledger.no_receipt', 'no receipt with this id');
    if ((await ledger.receipt(rid))?.state !== 'closed')
      throw new Fault('conflict', 'ledger.road_open', 'the request has not ended; erase it afterwards');
    const id = world.ids.next('e');
    const erasure = await this.#store.order({ id, rid, ground, by: by.id, t: world.clock.now() });
    await at?.('ordered');
    await outbox.pump();
    await at?.('recorded');
    await this.#carryOut(erasure);
    return { ...erasure, leaf: await outbox.indexOf(erasure.id) };
  }

  // Every step may be repeated.
  async #carryOut({ id, rid }: Erasure): Promise<void> {
    const { ledger, decisions, database, log, at } = this.#options;
    await ledger.erase(rid);
    await at?.('key-overwritten');
    await decisions.erase(rid);
    await at?.('decision-erased');
    await database.scrub();
    await this.#store.markDone(rid);
    log.info('server.erased', { erasure: id });
  }
}

export function erasureRoutes(eraser: Eraser): readonly BoundRoute[] {
  return [
    bind(postErasure, async ({ body, caller }) => {
      if (caller === null) throw new Fault('unauthenticated', 'identity.invalid_api_key', 'no valid key');
      return { json: await eraser.erase(body.rid, body.ground, caller) };
    }),
  ];
}
