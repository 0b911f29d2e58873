import { HOUR } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import type { Database } from '../storage/database.ts';
import type { Outbox } from '../storage/outbox.ts';
import {
  carries,
  checkGiver,
  mayRead,
  readHours,
  readReason,
  type ApprovalFacts,
  type ApprovalLeaf,
  type ApprovalQuestion,
  type ApprovalTerms,
} from './approval.ts';
import type { Identity } from './identity.ts';
import { openApprovalStore, type ApprovalStore, type StoredApproval } from './store.ts';
import type { Caller, KeyFacts } from './types.ts';

/** Who may use models for a purpose that needs an approval. */
export interface Approvals {
  /** From memory: nothing on the road waits for the database. */
  holds(question: ApprovalQuestion): boolean;
  /**
   * Effective when it resolves, which is after its leaf is durable.
   * @throws Fault `identity.no_approval`, `identity.role_needed`, `identity.other_organisation`, `identity.four_eyes`,
   * `identity.invalid`, `identity.unknown_tenant`, `identity.unknown_key`
   */
  give(giver: Caller, order: ApprovalOrder): Promise<ApprovalFacts>;
  /** Effective before its leaf is written. @throws Fault `identity.unknown_approval`, `identity.role_needed` */
  revoke(id: string, by: Caller): Promise<ApprovalFacts>;
  /** What the reader may know of, newest first; `all` brings the newest that hold no longer too. */
  list(reader: Caller, options: { readonly all: boolean }): Promise<readonly ApprovalFacts[]>;
}

/** `terms` null says that the running bundle wants no approval for the purpose, or does not list it. */
export interface ApprovalOrder {
  readonly purpose: string;
  readonly terms: ApprovalTerms | null;
  readonly for: { readonly tenant: string } | { readonly caller: string };
  /** The most that the terms allow when null. */
  readonly hours: number | null;
  readonly reason: string | null;
}

export interface ApprovalsOptions {
  readonly database: Database;
  readonly outbox: Outbox<ApprovalLeaf>;
  readonly identity: Pick<Identity, 'listKeys' | 'listTenants'>;
  readonly world: World;
  readonly log: Log;
}

const MAX_LISTED = 1000;

/** Opens the approvals. Call it after the outbox was pumped: what it reads must stand in the log. */
export async function openApprovals(options: ApprovalsOptions): Promise<Approvals> {
  const store = await openApprovalStore(options.database, options.outbox);
  const approvals = new ApprovalDesk(options, store);
  await approvals.load();
  return approvals;
}

class ApprovalDesk implements Approvals {
  readonly #options: ApprovalsOptions;
  readonly #store: ApprovalStore;
  #live = new Map<string, readonly StoredApproval[]>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ApprovalsOptions, store: ApprovalStore) {
    this.#options = options;
    this.#store = store;
  }

  holds(question: ApprovalQuestion): boolean {
    const { caller, purpose } = question;
    const candidates = [
      ...(this.#live.get(place(purpose, caller.tenant, null)) ?? []),
      ...(this.#live.get(place(purpose, caller.tenant, caller.id)) ?? []),
    ];
    return candidates.some((approval) => carries(approval, question));
  }

  async give(giver: Caller, order: ApprovalOrder): Promise<ApprovalFacts> {
    const { world, outbox, log } = this.#options;
    const approval = await this.#drawUp(giver, order);
    const { id, purpose, role, tenant, caller, until } = approval;
    const leaf = { approval: id, purpose, role, by: giver.id, tenant, caller, until };
    await this.#inTurn(async () => {
      await this.#store.add(approval, {
        kind: 'control',
        id: world.ids.next('c'),
        event: 'approval',
        ...leaf,
      });
      await outbox.pump();
      await this.load();
    });
    log.info('identity.approval_given', { approval: id, by: giver.id });
    return this.#shown(approval);
  }

  async revoke(id: string, by: Caller): Promise<ApprovalFacts> {
    const { world, outbox, log } = this.#options;
    const found = await this.#store.find(id);
    if (found === null || !mayRead(by, found)) throw unknownApproval();
    // Taking back is the safe direction, so that whoever looks after keys may do it too.
    if (!by.roles.includes('admin')) checkGiver(by, found.role, found.tenant);
    const leaf = { event: 'approval-revoked', approval: id, by: by.id } as const;
    const revoked = await this.#inTurn(async () => {
      const now = world.clock.now();
      const stored = await this.#store.revoke(id, now, {
        kind: 'control',
        id: world.ids.next('c'),
        ...leaf,
      });
      this.#forget(id);
      await outbox.pump();
      return stored;
    });
    if (revoked === null) throw unknownApproval();
    log.info('identity.approval_revoked', { approval: id, by: by.id });
    return this.#shown(revoked);
  }

  async list(reader: Caller, { all }: { readonly all: boolean }): Promise<readonly ApprovalFacts[]> {
    const now = this.#options.world.clock.now();
    const stored = all ? await this.#store.list(MAX_LISTED) : await this.#store.live(now);
    return stored.filter((approval) => mayRead(reader, approval)).map((approval) => this.#shown(approval));
  }

  /** Reads what holds anew; whoever calls it has pumped the outbox, since an approval counts from its leaf on. */
  async load(): Promise<void> {
    const live = new Map<string, StoredApproval[]>();
    for (const approval of await this.#store.live(this.#options.world.clock.now())) {
      const at = place(approval.purpose, approval.tenant, approval.caller);
      const there = live.get(at);
      if (there === undefined) live.set(at, [approval]);
      else there.push(approval);
    }
    this.#live = live;
  }

  // One act at a time: a reading must not bring back what another act revokes, or bring what has no leaf yet.
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#last.then(act);
    this.#last = next.catch(() => {});
    return next;
  }

  #forget(id: string): void {
    this.#live = new Map(
      [...this.#live].map(([at, approvals]) => [at, approvals.filter((approval) => approval.id !== id)]),
    );
  }

  async #drawUp(giver: Caller, order: ApprovalOrder): Promise<StoredApproval> {
    const { purpose, terms } = order;
    if (terms === null) throw noApproval(purpose);
    // The role first: who may not approve learns nothing about keys and organisations.
    if (!giver.roles.includes(terms.role)) checkGiver(giver, terms.role, giver.tenant);
    const subject = await this.#subject(order.for);
    checkGiver(giver, terms.role, subject.tenant);
    if (subject.caller === giver.id) throw fourEyes();
    const hours = readHours(order.hours, terms.hours);
    const reason = readReason(order.reason);
    const { world } = this.#options;
    const created = world.clock.now();
    return {
      id: world.ids.next('v'),
      purpose,
      role: terms.role,
      giver: giver.id,
      ...subject,
      reason,
      created,
      until: created + hours * HOUR,
      revoked: null,
    };
  }

  async #subject(target: ApprovalOrder['for']): Promise<{ tenant: string; caller: string | null }> {
    const { identity, world } = this.#options;
    if ('caller' in target) {
      const key = (await identity.listKeys()).find(({ id }) => id === target.caller);
      if (key === undefined || !usable(key, world.clock.now())) throw unknownKey();
      return { tenant: key.tenant, caller: key.id };
    }
    if ((await identity.listTenants()).some(({ id }) => id === target.tenant))
      return { tenant: target.tenant, caller: null };
    const message = 'expected the id of an organisation of this site';
    throw new Fault('missing', 'identity.unknown_tenant', message);
  }

  #shown(approval: StoredApproval): ApprovalFacts {
    const expired = approval.until <= this.#options.world.clock.now();
    const state = approval.revoked === null ? (expired ? 'expired' : 'live') : 'revoked';
    return { ...approval, state };
  }
}

// Ids hold no blank, so that no choice of them makes two places one.
function place(purpose: string, tenant: string, caller: string | null): string {
  return `${purpose} ${tenant} ${caller ?? ''}`;
}

function usable(key: KeyFacts, now: number): boolean {
  return key.revoked === null && (key.expires === null || key.expires > now);
}

function noApproval(purpose: string): Fault {
  const message = `the running bundle asks for no approval for the purpose ${JSON.stringify(purpose)}`;
  return new Fault('invalid', 'identity.no_approval', message);
}

function fourEyes(): Fault {
  return new Fault('denied', 'identity.four_eyes', 'expected another key than the one that will use it');
}

function unknownKey(): Fault {
  return new Fault('missing', 'identity.unknown_key', 'expected the id of a valid key of this site');
}

function unknownApproval(): Fault {
  return new Fault('missing', 'identity.unknown_approval', 'no approval with this id');
}
