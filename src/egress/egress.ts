import { createHash } from 'node:crypto';
import { canonicalJson } from '../core/canonical-json.ts';
import { MINUTE } from '../core/duration.ts';
import type { Log } from '../core/log.ts';
import type { World } from '../core/world.ts';
import { INSIDE } from './address.ts';
import type { Prefixes } from './address.ts';
import { fetchArtifact } from './artifact.ts';
import { createTrust } from './certificate.ts';
import { Channel } from './channel.ts';
import type { Dialer } from './connect.ts';
import { ALL_GUARDS } from './guards.ts';
import type { Guards } from './guards.ts';
import { endpointTarget } from './network.ts';
import { refusal } from './refusal.ts';
import { createResolver } from './resolver.ts';
import type { ArtifactRequest, ArtifactResult, Egress, EndpointNetwork } from './types.ts';

const RETIRE_MS = MINUTE;

export interface EgressOptions {
  /** Name servers, `address` or `address:port`; null means those of the system's resolver file. */
  readonly resolvers: readonly string[] | null;
  /** PEM bundle that alone is trusted; null means the roots built into the runtime. */
  readonly ca: Buffer | null;
  readonly world: World;
  readonly log: Log;
  /** Read at every dispatch. */
  posture(): 'public' | 'private' | 'disconnected';
}

/** The process's outbound connections, with every guard on. */
export function createEgress(options: EgressOptions): Egress {
  return createGuardedEgress(options, ALL_GUARDS, INSIDE);
}

/** For tests that show what happens without a guard, or with the building somewhere else; nothing else calls it. */
export function createGuardedEgress(options: EgressOptions, guards: Guards, building: Prefixes): Egress {
  const owned = new WeakSet<object>();
  const disconnected = (): boolean => options.posture() === 'disconnected';
  const inside = (address: string): boolean => building.has(address);
  const mayAsk = (server: string): boolean => !disconnected() || inside(server) || !guards.on('resolver');
  const dialer: Dialer = {
    resolver: createResolver(options.resolvers, mayAsk),
    trust: createTrust(options.ca),
    clock: options.world.clock,
    guards,
    disconnected,
    inside,
    own: (socket) => owned.add(socket),
  };
  return new GuardedEgress(dialer, options.log, owned);
}

class GuardedEgress implements Egress {
  readonly #dialer: Dialer;
  readonly #log: Log;
  readonly #owned: WeakSet<object>;
  readonly #channels = new Map<string, Channel>();
  /** When each bundle that runs no longer ends, on the clock of elapsed time. */
  readonly #retired = new Map<string, number>();
  readonly #digests = new WeakMap<EndpointNetwork, string>();
  readonly #disposed = new AbortController();

  constructor(dialer: Dialer, log: Log, owned: WeakSet<object>) {
    this.#dialer = dialer;
    this.#log = log;
    this.#owned = owned;
  }

  endpoint(network: EndpointNetwork, bundle: string): Channel {
    const left = this.#graceLeft(bundle);
    if (left !== null && left <= 0) throw refusal('bundle', `${network.endpoint}: the bundle no longer runs`);
    const key = `${bundle} ${this.#digest(network)}`;
    const known = this.#channels.get(key);
    if (known !== undefined) return known;
    const target = endpointTarget(network, this.#dialer.guards);
    const channel = new Channel({ target, bundle, dialer: this.#dialer, log: this.#log });
    this.#channels.set(key, channel);
    // Permitted just before the bundle was replaced, to an endpoint that had no traffic until then.
    if (left !== null) this.#leave(key, channel, left);
    return channel;
  }

  retire(bundle: string, graceMs: number = RETIRE_MS): void {
    this.#retired.set(bundle, this.#dialer.clock.elapsed() + graceMs);
    for (const [key, channel] of this.#channels)
      if (key.startsWith(`${bundle} `)) this.#leave(key, channel, graceMs);
  }

  #leave(key: string, channel: Channel, graceMs: number): void {
    void channel.retire(graceMs).finally(() => this.#channels.delete(key));
  }

  #graceLeft(bundle: string): number | null {
    const end = this.#retired.get(bundle);
    return end === undefined ? null : end - this.#dialer.clock.elapsed();
  }

  artifact(request: ArtifactRequest): Promise<ArtifactResult> {
    const signal = AbortSignal.any([request.signal, this.#disposed.signal]);
    return fetchArtifact({ ...request, signal }, this.#dialer);
  }

  owns(socket: object): boolean {
    return this.#owned.has(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort();
    for (const channel of this.#channels.values()) channel.destroy();
    this.#channels.clear();
    await Promise.resolve();
  }

  #digest(network: EndpointNetwork): string {
    const known = this.#digests.get(network);
    if (known !== undefined) return known;
    const digest = createHash('sha256')
      .update(canonicalJson({ ...network }))
      .digest('hex');
    this.#digests.set(network, digest);
    return digest;
  }
}
