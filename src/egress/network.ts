import { isIP } from 'node:net';
import { listsHost, parseProxy, plainHost } from '../core/provider-place.ts';
import { LOOPBACK, parsePrefixes } from './address.ts';
import type { Prefixes } from './address.ts';
import type { Guards } from './guards.ts';
import { invalidNetwork, refusal } from './refusal.ts';
import type { EndpointNetwork } from './types.ts';

/** Where sockets of one destination may go, read from signed facts. */
export interface Target {
  /** For messages. */
  readonly name: string;
  readonly secure: boolean;
  /** Lower case, no trailing dot, no brackets. */
  readonly host: string;
  readonly port: number;
  /** `scheme://host[:port]`. */
  readonly origin: string;
  readonly addresses: Prefixes;
  readonly pins: ReadonlySet<string>;
  readonly issuer: string | null;
  readonly proxy: { readonly host: string; readonly port: number } | null;
}

/**
 * Reads a provider record's network facts.
 * @throws Fault `egress.denied` by the guards scheme, host, literal, pin, proxy; `egress.invalid_network`.
 */
export function endpointTarget(network: EndpointNetwork, guards: Guards): Target {
  const place = readPlace(network.url, network.hosts, guards);
  const target: Target = {
    ...place,
    name: network.endpoint,
    addresses: parsePrefixes(network.addresses),
    pins: new Set(network.pins.map(readPin)),
    issuer: network.issuer === null ? null : readPin(network.issuer),
    proxy: readProxy(network.proxy, place.secure),
  };
  requireIdentity(target, guards);
  return target;
}

/**
 * Reads one hop of an artifact's way; its digest stands for it, so no pins.
 * @throws Fault as `endpointTarget`.
 */
export function artifactTarget(url: string, facts: ArtifactPlace, guards: Guards): Target {
  const place = readPlace(url, facts.hosts, guards);
  if (!place.secure && !isLoopbackName(place.host) && guards.on('scheme'))
    throw refusal('scheme', `an artifact may come over plain http from loopback only, found ${place.origin}`);
  return {
    ...place,
    name: 'artifact',
    addresses: facts.addresses,
    pins: new Set(),
    issuer: null,
    proxy: readProxy(facts.proxy, place.secure),
  };
}

export interface ArtifactPlace {
  readonly hosts: readonly string[];
  readonly addresses: Prefixes;
  readonly proxy: string | null;
}

type Place = Pick<Target, 'secure' | 'host' | 'port' | 'origin'>;

function readPlace(text: string, hosts: readonly string[], guards: Guards): Place {
  const url = readUrl(text);
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') throw refusal('scheme', `expected https, found ${url.protocol}`);
  if (url.username !== '' || url.password !== '') throw refusal('host', 'a user name in the address');
  const host = plainHost(url.hostname);
  if (isIP(host) !== 0 && guards.on('literal')) requireListedLiteral(text, url, hosts);
  if (!listsHost(hosts, url.hostname) && guards.on('host'))
    throw refusal('host', `${host} is not among the record's hosts`);
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  return { secure, host, port, origin: url.origin };
}

function readUrl(text: string): URL {
  // WHATWG reads a backslash as a slash: what a person takes for the host would not be the one connected.
  if (text.includes('\\')) throw refusal('host', 'a backslash in the address');
  try {
    return new URL(text);
  } catch (cause) {
    throw invalidNetwork('expected an absolute URL', cause);
  }
}

// `2130706434`, `127.1`, `0x7f.1` and full-width digits all read as an address: only its one plain writing is listed.
function requireListedLiteral(text: string, url: URL, hosts: readonly string[]): void {
  const written = /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1];
  const plain = written === url.host || written === `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}`;
  if (!plain || !listsHost(hosts, url.hostname))
    throw refusal('literal', `the address ${url.hostname} is not among the record's hosts`);
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || LOOPBACK.has(host);
}

function readPin(text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  throw invalidNetwork(`expected a pin as sha256:<64 hex digits>, found ${text}`);
}

function readProxy(text: string | null, secure: boolean): Target['proxy'] {
  if (text === null) return null;
  const proxy = parseProxy(text);
  if (proxy === null) throw invalidNetwork('expected a proxy as http://host:port');
  // Through a proxy only the certificate speaks for the far side.
  if (!secure) throw refusal('proxy', 'a proxy carries https only');
  return proxy;
}

function requireIdentity(target: Target, guards: Guards): void {
  if (!target.secure) {
    if (guards.on('scheme') && !target.addresses.within(LOOPBACK))
      throw refusal('scheme', `${target.name}: plain http is for loopback only`);
    return;
  }
  if (!guards.on('pin')) return;
  if (target.pins.size < 2 && target.issuer === null)
    throw refusal('pin', `${target.name}: expected two certificate pins or an issuer`);
}
