import type { Fault } from '../core/fault.ts';
import { toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import { dial } from './connect.ts';
import type { Dialer } from './connect.ts';
import { Exchange } from './exchange.ts';
import type { LaneOwner } from './exchange.ts';
import { outgoingHeaders } from './headers.ts';
import { Lane } from './lane.ts';
import type { Target } from './network.ts';
import { spendPermit } from './permit.ts';
import type { Permit } from './permit.ts';
import { interrupted, refusal, unreachable } from './refusal.ts';
import type { EgressCall, EgressHandler, EgressRequest, EndpointChannel } from './types.ts';

/** Connections of one channel at a time. */
const MAX_LANES = 256;
/** Exchanges that wait for a connection. */
const MAX_WAITING = 1_024;

export interface ChannelOptions {
  readonly target: Target;
  readonly bundle: string;
  readonly dialer: Dialer;
  readonly log: Log;
}

/** The connections of one endpoint, opened under one bundle, and the exchanges on them. */
export class Channel implements EndpointChannel, LaneOwner {
  readonly #target: Target;
  readonly #bundle: string;
  readonly #dialer: Dialer;
  readonly #log: Log;
  readonly #host: string;
  readonly #lanes = new Set<Lane>();
  readonly #idle: Lane[] = [];
  readonly #waiting = new Map<Exchange, NodeJS.Timeout>();
  readonly #closed = new AbortController();
  #opening = 0;
  #retired = false;

  constructor(options: ChannelOptions) {
    this.#target = options.target;
    this.#bundle = options.bundle;
    this.#dialer = options.dialer;
    this.#log = options.log;
    this.#host = new URL(options.target.origin).host;
  }

  dispatch(permit: Permit, request: EgressRequest, handler: EgressHandler): EgressCall {
    const options = {
      request,
      handler,
      redirects: this.#dialer.guards.on('redirect') ? 'refuse' : 'pass',
    } as const;
    try {
      const headers = this.#admit(permit, request);
      const exchange = new Exchange(this, { ...options, headers });
      this.#start(exchange, request.timeoutMs);
      return exchange;
    } catch (thrown) {
      const exchange = new Exchange(this, { ...options, headers: [] });
      exchange.fail(toFault(thrown));
      return exchange;
    }
  }

  /**
   * Idle connections close at once and none is kept any more. What was permitted under the bundle, running or not yet
   * sent, has `graceMs`; then everything ends. Resolves at that time.
   */
  async retire(graceMs: number): Promise<void> {
    this.#retired = true;
    const gone = refusal('bundle', `${this.#target.name}: the bundle no longer runs`);
    for (const lane of this.#idle.splice(0)) lane.destroy(gone);
    if (graceMs > 0) await this.#grace(graceMs);
    else for (const exchange of this.#waiting.keys()) exchange.fail(gone);
    this.destroy();
  }

  /** Ends every connection. */
  destroy(): void {
    this.#retired = true;
    this.#closed.abort();
    const fault = interrupted(`${this.#target.name}: the connection was closed here`);
    for (const exchange of this.#waiting.keys()) exchange.fail(fault);
    for (const lane of this.#lanes) lane.destroy(fault);
  }

  release(lane: Lane): void {
    lane.used = true;
    const next = lane.alive ? this.#takeWaiting() : null;
    if (next !== null) next.ride(lane);
    else if (lane.alive && !this.#retired) this.#idle.push(lane);
    // Not inside the client's own callback, which still holds the socket.
    else setImmediate(() => lane.destroy(unreachable('not kept')));
  }

  again(exchange: Exchange): void {
    this.#start(exchange, 0);
  }

  gone(exchange: Exchange): void {
    clearTimeout(this.#waiting.get(exchange));
    this.#waiting.delete(exchange);
  }

  report(fault: Fault): void {
    const endpoint = this.#target.name;
    const { guard } = fault.details;
    if (typeof guard === 'string') this.#log.warn('egress.refused', { endpoint, guard });
    if (fault.code === 'egress.handler_failed') this.#log.error('egress.handler_failed', { endpoint });
  }

  async #grace(ms: number): Promise<void> {
    try {
      await this.#dialer.clock.sleep(ms, this.#closed.signal);
    } catch {
      // Everything was ended before the time was over.
    }
  }

  #admit(permit: Permit, request: EgressRequest): string[] {
    const { guards } = this.#dialer;
    const name = this.#target.name;
    const permitted = spendPermit(permit, name, this.#bundle);
    if (!permitted && guards.on('permit'))
      throw refusal('permit', `${name}: no unused permit for this endpoint`);
    if (!covers(permit, request) && guards.on('permit'))
      throw refusal('permit', `${name}: the permit is for another request`);
    if (this.#closed.signal.aborted && guards.on('bundle'))
      throw refusal('bundle', `${name}: the bundle no longer runs`);
    if (!isOriginForm(request.path)) throw refusal('host', `${name}: expected a path`);
    if (request.method === 'GET' && request.body !== null)
      throw refusal('header', `${name}: a GET carries no body`);
    return guards.on('header')
      ? outgoingHeaders(request, this.#host)
      : Object.entries(request.headers).flat();
  }

  #start(exchange: Exchange, waitMs: number): void {
    const lane = this.#takeIdle();
    if (lane !== null) exchange.ride(lane);
    else if (this.#lanes.size + this.#opening < MAX_LANES) void this.#open(exchange);
    else if (this.#waiting.size >= MAX_WAITING)
      exchange.fail(unreachable(`${this.#target.name}: too many exchanges wait`));
    else this.#wait(exchange, waitMs);
  }

  #wait(exchange: Exchange, ms: number): void {
    const late = (): void => exchange.fail(unreachable(`${this.#target.name}: no connection became free`));
    this.#waiting.set(exchange, setTimeout(late, ms));
  }

  #takeIdle(): Lane | null {
    const { guards } = this.#dialer;
    const stay = this.#dialer.disconnected() && guards.on('posture');
    for (let lane = this.#idle.pop(); lane !== undefined; lane = this.#idle.pop()) {
      if (lane.alive && (lane.inside || !stay)) return lane;
      lane.destroy(refusal('posture', 'the site is disconnected'));
    }
    return null;
  }

  #takeWaiting(): Exchange | null {
    for (const exchange of this.#waiting.keys()) {
      this.gone(exchange);
      return exchange;
    }
    return null;
  }

  async #open(exchange: Exchange): Promise<void> {
    this.#opening++;
    try {
      const signal = AbortSignal.any([exchange.connectSignal(), this.#closed.signal]);
      const connection = await dial(this.#target, this.#dialer, signal);
      const lane = new Lane(this.#target.origin, connection, (closed) => this.#lost(closed));
      this.#lanes.add(lane);
      this.#board(exchange, lane);
    } catch (thrown) {
      exchange.fail(toFault(thrown));
    } finally {
      this.#opening--;
    }
    this.#refill();
  }

  #board(exchange: Exchange, lane: Lane): void {
    const gone = refusal('bundle', `${this.#target.name}: the bundle no longer runs`);
    const closed = this.#closed.signal.aborted;
    if (closed && this.#dialer.guards.on('bundle')) exchange.fail(gone);
    if (closed || exchange.over) lane.destroy(gone);
    else exchange.ride(lane);
  }

  #lost(lane: Lane): void {
    this.#lanes.delete(lane);
    const place = this.#idle.indexOf(lane);
    if (place !== -1) this.#idle.splice(place, 1);
    this.#refill();
  }

  #refill(): void {
    if (this.#lanes.size + this.#opening >= MAX_LANES) return;
    const next = this.#takeWaiting();
    if (next !== null) this.#start(next, 0);
  }
}

function covers({ control }: Permit, { method, path, body }: EgressRequest): boolean {
  if (control === null) return true;
  return (
    method === control.method && path === control.path && (body === null || body.length <= control.maxBytes)
  );
}

// RFC 9112 section 3.2.1. An absolute form would tell a far side that proxies to pass the request on.
function isOriginForm(path: string): boolean {
  return /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/.test(path);
}
