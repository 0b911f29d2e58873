import { formatIp, parseIp, parsePrefix, prefixHas, type IpAddress } from '../core/address.ts';

const MAX_HOPS = 32;
const WITH_PORT = /^(?:\[([^\]]+)\]|([0-9.]+))(?::\d{1,5})?$/;

/** What the site believes of its reverse proxies. */
export interface ProxyTrust {
  /** True when the peer of a connection is one of the proxies. */
  trusts(peer: string): boolean;
  /**
   * The client's address: the nearest one in X-Forwarded-For that is no trusted proxy, or the peer itself. Entries
   * further left were written by strangers and say nothing.
   */
  client(peer: string, forwardedFor: string | undefined): string;
}

/** `prefixes` as `server.trustProxy` lists them; one that is no prefix is a mistake of the program. */
export function proxyTrust(prefixes: readonly string[]): ProxyTrust {
  const trusted = prefixes.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === null) throw new TypeError(`expected a prefix, found ${text}`);
    return prefix;
  });
  const covers = (address: IpAddress): boolean => trusted.some((prefix) => prefixHas(prefix, address));
  const trusts = (peer: string): boolean => {
    const address = parseIp(peer);
    return address !== null && covers(address);
  };
  return {
    trusts,
    client(peer, forwardedFor) {
      const address = parseIp(peer);
      if (address === null || !covers(address) || forwardedFor === undefined) return shown(peer, address);
      return formatIp(nearestStranger(address, forwardedFor, covers));
    },
  };
}

function nearestStranger(
  peer: IpAddress,
  forwardedFor: string,
  covers: (address: IpAddress) => boolean,
): IpAddress {
  let nearest = peer;
  for (const entry of forwardedFor.split(',').slice(-MAX_HOPS).reverse()) {
    const address = parseEntry(entry.trim());
    // What follows garbage was not written by a proxy that we trust to write addresses.
    if (address === null) return nearest;
    nearest = address;
    if (!covers(address)) return nearest;
  }
  return nearest;
}

function parseEntry(text: string): IpAddress | null {
  const parts = WITH_PORT.exec(text);
  return parseIp(parts === null ? text : (parts[1] ?? parts[2] ?? ''));
}

function shown(peer: string, address: IpAddress | null): string {
  return address === null ? peer : formatIp(address);
}
