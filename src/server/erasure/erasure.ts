import { DAY } from '../../core/duration.ts';
import { Fault } from '../../core/fault.ts';
import type { Log } from '../../core/log.ts';
import { bind, type BoundRoute, type RouteCaller } from '../../core/route.ts';
import type { World } from '../../core/world.ts';
import type { Ledger, ErasureScope, SiteEvent } from '../../ledger/types.ts';
import type { Database } from '../../storage/database.ts';
import type { Outbox } from '../../storage/outbox.ts';
import type { DecisionBook } from '../decisions/book.ts';
import { postErasure, postErasureBatch, type Ground } from './contract.ts';
import { ErasureStore, type Batch, type Erasure } from './store.ts';

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

/** What is asked for at once; `before` as YYYY-MM-DD, the first day that stays. */
export interface BatchOrder {
  readonly tenant?: string | undefined;
  readonly before?: string | undefined;
  readonly ground: Ground;
  readonly dryRun: boolean;
}

/** What a batch came to; without id and leaf where nothing was erased. */
export interface BatchResult {
  readonly id: string | null;
  readonly ground: Ground;
  readonly requests: number;
  readonly running: number;
  readonly dayKeys: number;
  readonly leaf: number | null;
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
    for (const batch of await eraser.#store.undoneBatches()) await eraser.#carryOutBatch(batch);
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

  /**
   * Erases what has ended of an organisation, of days, or both; resolves once the overwriting is durable.
   * @throws Fault `identity.no_org` for an organisation that is not the owner's, `server.erase_all`, `ledger.unavailable`.
   */
  async eraseMany(order: BatchOrder, by: RouteCaller): Promise<BatchResult> {
    const { ledger, outbox, world, at } = this.#options;
    const scope = this.#scopeOf(order, by);
    const { requests, running, first, last } = await ledger.survey(scope);
    const result = { id: null, ground: order.ground, requests, running, dayKeys: 0, leaf: null };
    if (order.dryRun || first === null || last === null) return result;
    const { ground } = order;
    const id = world.ids.next('e');
    const batch = { id, ...scope, ground, by: by.id, requests, first, last, size: ledger.size() };
    await this.#store.orderBatch(batch);
    await at?.('ordered');
    await outbox.pump();
    await at?.('recorded');
    const dayKeys = await this.#carryOutBatch(batch);
    return { ...result, id, dayKeys, leaf: await outbox.indexOf(id) };
  }

  #scopeOf({ tenant, before }: BatchOrder, by: RouteCaller): ErasureScope {
    if (!by.roles.includes('admin')) {
      if (tenant === undefined)
        throw new Fault('denied', 'server.erase_all', 'an owner erases for the own organisation: name it');
      if (tenant !== by.tenant) throw new Fault('missing', 'identity.no_org', 'no organisation with this id');
    }
    if (before === undefined) return { tenant: tenant ?? null, beforeDay: null };
    // oxlint-disable-next-line eslint/no-restricted-globals -- reads a date and no clock
    const beforeDay = Date.parse(before) / DAY;
    const today = Math.floor(this.#options.world.clock.now() / DAY);
    if (beforeDay > today)
      throw new Fault('invalid', 'server.erase_future', 'expected a day that is today or earlier, in UTC');
    return { tenant: tenant ?? null, beforeDay };
  }

  // The facts go before the keys, by which a repetition finds the requests again.
  async #carryOutBatch(batch: Batch): Promise<number> {
    const { ledger, decisions, database, log, at } = this.#options;
    const { requests, dayKeys } = await ledger.eraseAll(batch, {
      size: batch.size,
      leaving: async (rids) => {
        await decisions.erase(rids);
        await at?.('decision-erased');
      },
    });
    await at?.('key-overwritten');
    await database.scrub();
    await this.#store.markBatchDone(batch.id);
    log.info('server.erased', { erasure: batch.id, requests, dayKeys });
    return dayKeys;
  }

  // Every step may be repeated.
  async #carryOut({ id, rid }: Erasure): Promise<void> {
    const { ledger, decisions, database, log, at } = this.#options;
    await ledger.erase(rid);
    await at?.('key-overwritten');
    await decisions.erase([rid]);
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
    bind(postErasureBatch, async ({ body, caller }) => {
      if (caller === null) throw new Fault('unauthenticated', 'identity.invalid_api_key', 'no valid key');
      return { json: await eraser.eraseMany(body, caller) };
    }),
  ];
}
