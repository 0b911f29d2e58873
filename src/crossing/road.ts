import { Fault } from '../core/fault.ts';
import type { EgressCall, EgressHandler, EgressRequest } from '../egress/types.ts';
import { mintPermit, type Permit } from '../egress/permit.ts';
import type { Caller } from '../identity/types.ts';
import { bucket, type DecisionLeaf, type OutcomeStatus } from '../ledger/leaf.ts';
import type { Ledger, RoadKeys } from '../ledger/types.ts';
import type { EndpointDecision, Label } from '../policy/types.ts';
import type { BundleGate } from './bundle-gate.ts';

/** What somebody asks to move, before anything was decided. */
export interface RoadRequest {
  readonly rid: string;
  readonly surface: string;
  readonly action: 'infer';
  /** The caller's name of the model. */
  readonly model: string;
  readonly caller: Caller;
  readonly label: Label;
  readonly purpose: string | null;
  /** The body as received. */
  readonly input: Buffer;
  /** The hash of the bundle that decides. */
  readonly bundle: string;
  /** Lets that bundle decide while it runs. */
  readonly gate: BundleGate;
  /** Every endpoint that was looked at, with its decision. */
  readonly considered: readonly EndpointDecision[];
}

/** What came of one attempt. Byte counts are exact here and bucketed in the leaf. */
export interface AttemptResult {
  readonly status: OutcomeStatus;
  /** An error code of docs/interface.md, or the guard that refused. */
  readonly code: string | null;
  /** The provider's status. */
  readonly http: number | null;
  readonly sent: number;
  readonly received: number;
  /** The commitment over the bytes handed to the client's socket, or null when this attempt gave it nothing. */
  readonly res: string | null;
}

/** Where an attempt's bytes go: a channel of the egress room, or the engine in this machine. */
export interface Transport {
  dispatch(permit: Permit, request: EgressRequest, handler: EgressHandler): EgressCall;
}

/** docs/ledger.md: a decision leaf names at most this many endpoints. */
const MAX_CONSIDERED = 32;

/** One request's way over the boundary: every step is durable in the ledger before the next one happens. */
export class Road {
  readonly request: RoadRequest;
  readonly #ledger: Ledger;
  readonly #decided: (endpoint: string | null) => void;
  #keys: RoadKeys | null = null;
  #attempts = 0;
  #previous: number | null = null;

  /** `decided` hears, once the road's first decision is durable, which endpoint it allowed; null for a denial. */
  constructor(
    ledger: Ledger,
    request: RoadRequest,
    decided: (endpoint: string | null) => void = () => undefined,
  ) {
    this.request = request;
    this.#decided = decided;
    this.#ledger = ledger;
  }

  get rid(): string {
    return this.request.rid;
  }

  /** False once the bundle that allowed this road decides no more: then it takes no further attempt. */
  mayDecide(): boolean {
    return this.request.gate.decides(this.request.bundle);
  }

  /**
   * Records that nothing leaves.
   * @throws Fault kind `unavailable` when the ledger cannot record; code `crossing.bundle_changed`.
   */
  async deny(): Promise<void> {
    await this.#appendDecision(null, null, false);
  }

  /**
   * Records that `body` may go to `decision.to`, and only then gives the right to send it.
   * @throws Fault kind `unavailable` when the ledger cannot record, code `crossing.bundle_changed` when the bundle of
   * this road decides no more; nothing was sent then.
   */
  async attempt(decision: EndpointDecision, body: Buffer): Promise<Attempt> {
    return this.#attempt(decision, body, false);
  }

  async #attempt(decision: EndpointDecision, body: Buffer, beside: boolean): Promise<Attempt> {
    const index = await this.#appendDecision(decision, body, beside);
    const number = this.#attempts;
    const permit = mintPermit({
      rid: this.rid,
      endpoint: decision.endpoint,
      bundle: this.request.bundle,
      control: null,
    });
    return new Attempt({
      ledger: this.#ledger,
      keys: this.#roadKeys(),
      rid: this.rid,
      number,
      index,
      permit,
    });
  }

  /**
   * Closes `failed` and opens the next attempt. Both leaves become durable together, so that no crash can leave a road
   * that is neither closed nor under way. Ask `mayDecide` in the same turn.
   */
  async attemptAfter(
    failed: { attempt: Attempt; result: AttemptResult },
    decision: EndpointDecision,
    body: Buffer,
  ): Promise<Attempt> {
    const closing = failed.attempt.close(failed.result, { roadEnds: false });
    const opening = this.#attempt(decision, body, true);
    const [, attempt] = await Promise.all([closing, opening]);
    return attempt;
  }

  // A road that is given up before its first decision draws no key.
  #roadKeys(): RoadKeys {
    const { rid, caller } = this.request;
    this.#keys ??= this.#ledger.openRoad(rid, { tenant: caller.tenant, caller: caller.id });
    return this.#keys;
  }

  async #appendDecision(
    allowed: EndpointDecision | null,
    body: Buffer | null,
    beside: boolean,
  ): Promise<number> {
    // Whatever chose among the endpoints, only what policy allowed for this very request gets a permit.
    if (allowed !== null && (allowed.effect !== 'allow' || !this.request.considered.includes(allowed)))
      throw new Fault(
        'internal',
        'crossing.not_allowed',
        `no decision of this road allows ${allowed.endpoint}`,
      );
    const index = await this.request.gate.pass(this.request.bundle, async () => {
      this.#attempts += 1;
      return this.#ledger.appendRoad(this.#roadKeys(), this.#decisionLeaf(allowed, body), beside);
    });
    const first = this.#previous === null;
    this.#previous = index;
    if (first) this.#decided(allowed === null ? null : allowed.endpoint);
    return index;
  }

  #decisionLeaf(allowed: EndpointDecision | null, body: Buffer | null): DecisionLeaf {
    const { request } = this;
    const keys = this.#roadKeys();
    return {
      v: 1,
      kind: 'decision',
      rid: request.rid,
      attempt: this.#attempts,
      prev: this.#previous,
      t: this.#ledger.time(),
      log: this.#ledger.origin,
      bundle: request.bundle,
      action: request.action,
      surface: request.surface,
      model: request.model,
      label: { conf: request.label.conf, categories: request.label.categories },
      purpose: request.purpose,
      effect: allowed === null ? 'deny' : 'allow',
      considered: request.considered.slice(0, MAX_CONSIDERED),
      to: allowed === null ? null : allowed.to,
      c: {
        in: keys.commit('in', request.input),
        req: body === null ? null : keys.commit('req', body),
        caller: keys.commit('caller', request.caller.id),
        tenant: keys.commit('tenant', request.caller.tenant),
      },
    };
  }
}

interface AttemptParts {
  readonly ledger: Ledger;
  readonly keys: RoadKeys;
  readonly rid: string;
  readonly number: number;
  readonly index: number;
  readonly permit: Permit;
}

/** One dispatch whose decision is durable. */
export class Attempt {
  readonly #parts: AttemptParts;
  #call: EgressCall | null = null;

  constructor(parts: AttemptParts) {
    this.#parts = parts;
  }

  /** Sends the request through `transport`, once. */
  send(transport: Transport, request: EgressRequest, handler: EgressHandler): EgressCall {
    this.#call = transport.dispatch(this.#parts.permit, request, handler);
    return this.#call;
  }

  /** True once bytes of the request may have left: it was handed over, and a socket, if there is one, was connected. */
  mayHaveLeft({ local }: { local: boolean }): boolean {
    return this.#call !== null && (local || this.#call.observed() !== null);
  }

  /** Gathers the commitment over the bytes handed to the client's socket. */
  responseCommitment(): { update(bytes: Uint8Array): void; digest(): string } {
    return this.#parts.keys.commitStream('res');
  }

  /**
   * Records what came of it. `roadEnds` marks the road's last outcome, which says how many attempts there were.
   * @throws Fault kind `unavailable` when the ledger cannot record: the answer's end must not be sent then.
   */
  async close(result: AttemptResult, { roadEnds }: { roadEnds: boolean }): Promise<void> {
    const { ledger, keys, rid, number, index } = this.#parts;
    const observed = this.#call?.observed() ?? null;
    await ledger.appendRoad(keys, {
      v: 1,
      kind: 'outcome',
      rid,
      attempt: number,
      of: index,
      t: ledger.time(),
      status: result.status,
      code: result.code,
      http: result.http,
      observed: observed === null ? null : { spki: observed.spki, connectMs: Math.round(observed.connectMs) },
      in: bucket(result.sent),
      out: bucket(result.received),
      c: { res: result.res, peer: observed === null ? null : keys.commit('peer', observed.peer) },
      ...(roadEnds ? { attempts: number } : {}),
    });
  }
}
