import { parseIp, parsePrefix, prefixHas } from '../core/address.ts';

/** The reverse proxies of a site. */
export interface ProxyTrust {
  /** True when the peer of a connection is one of the proxies. */
  trusts(peer: string): boolean;
}

/** `prefixes` as `server.trustProxy` lists them; one that is no prefix is a mistake of the program. */
export function proxyTrust(prefixes: readonly string[]): ProxyTrust {
  const trusted = prefixes.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === null) throw new TypeError(`expected a prefix, found ${text}`);
    return prefix;
  });
  return {
    trusts(peer) {
      const address = parseIp(peer);
      return address !== null && trusted.some((prefix) => prefixHas(prefix, address));
    },
  };
}
