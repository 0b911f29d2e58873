import { isLoopback, parseIp } from '../core/address.ts';

// RFC 9110 section 7.2: a host and an optional port. No user, no path, no trailing dot, no white space.
const HOST = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?::(\d{1,5}))?$/;

/**
 * True when a request may carry this Host: loopback names always, others when listed. Guards against DNS rebinding,
 * for which the port plays no part; it only has to be one. Pass every value of the header: two are refused.
 */
export function hostAllowed(
  header: string | readonly string[] | undefined,
  { hosts }: { readonly hosts: readonly string[] },
): boolean {
  const name = hostName(header);
  if (name === null) return false;
  const address = parseIp(name);
  if (address === null) return name === 'localhost' || hosts.some((host) => host.toLowerCase() === name);
  return isLoopback(address) || hosts.some((host) => sameAddress(host, address));
}

// The header is attacker-controlled; the expression is linear and bounded.
function hostName(header: string | readonly string[] | undefined): string | null {
  const value = typeof header === 'string' ? header : header?.length === 1 ? header[0] : undefined;
  const parts = value === undefined ? null : HOST.exec(value);
  if (parts === null || Number(parts[3] ?? 0) > 65_535) return null;
  const [, bracketed, plain] = parts;
  if (bracketed === undefined) return plain?.toLowerCase() ?? null;
  return bracketed.includes(':') && parseIp(bracketed) !== null ? bracketed.toLowerCase() : null;
}

function sameAddress(host: string, address: NonNullable<ReturnType<typeof parseIp>>): boolean {
  const listed = parseIp(host);
  return listed !== null && listed.family === address.family && listed.value === address.value;
}
