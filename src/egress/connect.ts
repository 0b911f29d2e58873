import { Socket } from 'node:net';
import type { Clock } from '../core/world.ts';
import { secure } from './certificate.ts';
import type { Trust } from './certificate.ts';
import type { Guards } from './guards.ts';
import type { Target } from './network.ts';
import { refusal, unreachable } from './refusal.ts';
import type { NameResolver } from './resolver.ts';
import { openTunnel } from './tunnel.ts';
import type { Observed } from './types.ts';

/** What every connection of one egress needs. */
export interface Dialer {
  readonly resolver: NameResolver;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly guards: Guards;
  /** Only addresses inside the building may be reached. */
  disconnected(): boolean;
  /** True for an address that a disconnected site may still reach. */
  inside(address: string): boolean;
  /** Marks a socket as opened here, before it connects. */
  own(socket: Socket): void;
}

/** A connected socket that every guard has passed; no byte of a request was written yet. */
export interface Connection {
  readonly socket: Socket;
  readonly observed: Observed;
  /** The peer's address lies inside the building. */
  readonly inside: boolean;
}

const CONNECT_MS = 10_000;
/** How long one of several addresses is tried. */
const ATTEMPT_MS = 3_000;
const MAX_ADDRESSES = 4;

/**
 * Connects to a target.
 * @throws Fault `egress.denied` by the guards resolver, address, posture, certificate, pin, proxy; `egress.unreachable`.
 */
export async function dial(target: Target, dialer: Dialer, abort: AbortSignal): Promise<Connection> {
  const started = dialer.clock.elapsed();
  const signal = AbortSignal.any([abort, AbortSignal.timeout(CONNECT_MS)]);
  const addresses = await allowedAddresses(target, dialer);
  const raw = await connectFirst(addresses, target, { dialer, signal });
  try {
    const peer = checkedPeer(raw, target, dialer);
    if (target.proxy !== null) await openTunnel(raw, target, signal);
    const tls = target.secure ? await secure(raw, target, { ...dialer, signal }) : null;
    const connectMs = Math.max(0, Math.round(dialer.clock.elapsed() - started));
    return {
      socket: tls === null ? raw : tls.socket,
      observed: { spki: tls === null ? null : tls.spki, connectMs, peer: peer.text },
      inside: peer.inside,
    };
  } catch (thrown) {
    raw.destroy();
    throw thrown;
  }
}

// Names are answered once and only the vetted addresses are connected, so that no second answer can lead elsewhere.
async function allowedAddresses(target: Target, dialer: Dialer): Promise<readonly string[]> {
  const { host } = target.proxy ?? target;
  const found = await dialer.resolver.resolve(host);
  const allowed = dialer.guards.on('answers')
    ? found.filter((address) => target.addresses.has(address))
    : found;
  if (allowed.length === 0)
    throw refusal('address', `${target.name}: no address of ${host} lies in the record's prefixes`);
  const reachable =
    dialer.disconnected() && dialer.guards.on('posture')
      ? allowed.filter((address) => dialer.inside(address))
      : allowed;
  if (reachable.length === 0) throw refusal('posture', `${target.name}: the site is disconnected`);
  return reachable.slice(0, MAX_ADDRESSES);
}

interface Attempt {
  readonly dialer: Dialer;
  readonly signal: AbortSignal;
}

// One after the other: a race of addresses would open sockets nobody asked for.
async function connectFirst(addresses: readonly string[], target: Target, attempt: Attempt): Promise<Socket> {
  const { port } = target.proxy ?? target;
  let last: unknown;
  for (const address of addresses) {
    if (attempt.signal.aborted) break;
    try {
      return await connectOne(address, port, attempt, addresses.length > 1 ? ATTEMPT_MS : CONNECT_MS);
    } catch (thrown) {
      last = thrown;
    }
  }
  throw unreachable(`${target.name}: no connection`, last);
}

function connectOne(address: string, port: number, attempt: Attempt, ms: number): Promise<Socket> {
  const { dialer, signal } = attempt;
  return new Promise((resolve, reject) => {
    const socket = new Socket();
    dialer.own(socket);
    const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), ms);
    const aborted = (): void => {
      socket.destroy(new Error('given up'));
    };
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
    };
    signal.addEventListener('abort', aborted, { once: true });
    // Stays for the socket's life: an error nobody listens to would end the process.
    socket.on('error', (error) => {
      settle();
      reject(error);
    });
    socket.once('connect', () => {
      settle();
      socket.setNoDelay(true);
      resolve(socket);
    });
    // The address is a literal: no name is looked up, and nothing races.
    socket.connect({ host: address, port, autoSelectFamily: false });
  });
}

// The check that counts: where the kernel says the socket goes, not what a name promised.
function checkedPeer(socket: Socket, target: Target, dialer: Dialer): { text: string; inside: boolean } {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) throw unreachable(`${target.name}: the connection closed at once`);
  if (dialer.guards.on('address') && !target.addresses.has(remoteAddress))
    throw refusal('address', `${target.name}: connected outside the record's prefixes`);
  const inside = dialer.inside(remoteAddress);
  if (!inside && dialer.disconnected() && dialer.guards.on('posture'))
    throw refusal('posture', `${target.name}: the site is disconnected`);
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress;
  return { text: `${host}:${remotePort}`, inside };
}
