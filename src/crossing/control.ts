import { HOUR } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import { mintPermit, type ControlRequest } from '../egress/permit.ts';
import type { Egress, EndpointNetwork } from '../egress/types.ts';
import { readWhole, type WholeAnswer } from '../egress/whole.ts';
import type { Ledger } from '../ledger/types.ts';
import type { BundleGate } from './bundle-gate.ts';

/** A place that the signed bundle lets the site itself speak to, about no request of anybody. */
export interface ControlDestination {
  /** `<purpose>:<id>`, one of its kind in the bundle; no endpoint of prompts has a colon before its slash. */
  readonly name: `${ControlPurpose}:${string}`;
  readonly network: Omit<EndpointNetwork, 'endpoint'>;
  /** The one request that is sent there. */
  readonly sends: ControlRequest;
  /** As the signed record declares it; null where the bundle has no record of the place. */
  readonly to: { readonly operator: string; readonly country: string | null } | null;
  /** ms since 1970 from which nothing may be sent there any more; null when the bundle sets no end. */
  readonly expires: number | null;
}

export type ControlPurpose = 'health';

export interface ControlAsked {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  /** The longest answer. */
  readonly maxAnswer: number;
  /** Milliseconds until the first byte of the answer, and between two pieces of it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ControlRoadParts {
  readonly ledger: Pick<Ledger, 'time' | 'appendSite'>;
  readonly egress: Pick<Egress, 'endpoint'>;
  readonly gate: BundleGate;
  readonly world: World;
}

interface Standing {
  /** ms since 1970 */
  readonly until: number;
  /** Rejects when it could not be recorded. */
  readonly recorded: Promise<number>;
}

/**
 * The road of what the site says on its own account. A decision of this kind stands for an hour: its leaf names the
 * destination and the one request that may go there, is durable before the first of them leaves, and covers those that
 * follow.
 */
export class ControlRoad {
  readonly #parts: ControlRoadParts;
  readonly #standing = new Map<string, Standing>();

  constructor(parts: ControlRoadParts) {
    this.#parts = parts;
  }

  /**
   * Sends the one request that the destination takes, under the bundle that declares it.
   * @throws Fault kind `unavailable` when the ledger cannot record, `crossing.bundle_changed` when the bundle decides no
   * more, `crossing.control_expired`: nothing was sent then; and those of `readWhole`.
   */
  async ask(destination: ControlDestination, bundle: string, asked: ControlAsked): Promise<WholeAnswer> {
    const { name, network, sends } = destination;
    await this.#decided(destination, bundle);
    const channel = this.#parts.egress.endpoint({ ...network, endpoint: name }, bundle);
    const { headers, body, timeoutMs, maxAnswer, signal } = asked;
    const { method, path } = sends;
    const permit = mintPermit({ rid: name, endpoint: name, bundle, control: sends });
    const request = { method, path, headers, body, timeoutMs };
    return readWhole(channel, { permit, request }, { maxBytes: maxAnswer, signal });
  }

  async #decided(destination: ControlDestination, bundle: string): Promise<void> {
    const now = this.#parts.ledger.time();
    const { name, expires } = destination;
    if (expires !== null && now >= expires)
      throw new Fault('denied', 'crossing.control_expired', `${name}: its record has expired`);
    if (!this.#parts.gate.decides(bundle))
      throw new Fault('conflict', 'crossing.bundle_changed', 'another bundle decides now');
    const key = `${bundle} ${name}`;
    const standing = this.#standing.get(key);
    if (standing !== undefined && now < standing.until) return void (await standing.recorded);
    for (const [old, { until }] of this.#standing) if (now >= until) this.#standing.delete(old);
    const until = Math.min(now + HOUR, expires ?? Infinity);
    const made = { until, recorded: this.#record(destination, bundle, until) };
    this.#standing.set(key, made);
    try {
      await made.recorded;
    } catch (thrown) {
      if (this.#standing.get(key) === made) this.#standing.delete(key);
      throw thrown;
    }
  }

  async #record(destination: ControlDestination, bundle: string, until: number): Promise<number> {
    const { ledger, gate, world } = this.#parts;
    const { name, network, sends, to } = destination;
    return gate.pass(bundle, async () =>
      ledger.appendSite({
        kind: 'control',
        id: world.ids.next('c'),
        event: 'destination',
        bundle,
        destination: name,
        origin: new URL(network.url).origin,
        method: sends.method,
        path: sends.path,
        maxBytes: sends.maxBytes,
        to,
        until,
      }),
    );
  }
}
