import { parseIp } from './address.ts';

/*
 * How a provider's address is read. What signs a record and what connects by it read with the same functions, so that
 * nothing is accepted that can never be connected.
 */

/** A host as records list it: lower case from the URL parser, without brackets and final dot. */
export function plainHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '');
}

/** Whether one of the listed hosts is this one; an IPv6 address may be listed with or without its brackets. */
export function listsHost(hosts: readonly string[], hostname: string): boolean {
  const host = plainHost(hostname);
  return hosts.some((listed) => isSameHost(listed, host));
}

function isSameHost(listed: string, host: string): boolean {
  if (listed === host || listed === `[${host}]`) return true;
  // An address has one spelling; whoever lists another one may not mean the address that it leads to.
  if (parseIp(host) !== null) return false;
  const text = `https://${listed}`;
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.href === `https://${url.hostname}/` && plainHost(url.hostname) === host;
}

/** The proxy written as `http://host:port`, the port always given; null for anything else. */
export function parseProxy(text: string): { readonly host: string; readonly port: number } | null {
  const found =
    /^http:\/\/[^/?#@\\:[\]]+:(\d{1,5})\/?$/.exec(text) ??
    /^http:\/\/\[[0-9a-f:.]+\]:(\d{1,5})\/?$/i.exec(text);
  if (found === null || !URL.canParse(text)) return null;
  const port = Number(found[1]);
  return port === 0 ? null : { host: plainHost(new URL(text).hostname), port };
}
