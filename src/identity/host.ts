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
  const value = typeof header === 'string' ? header : header?.length === 1 ? header[0] : undefined;
  if (value === undefined) return false;
  // The header is attacker-controlled; the expression is linear and bounded.
  const parts = HOST.exec(value);
  if (parts === null || Number(parts[3] ?? 0) > 65_535) return false;
  const name = (parts[1] ?? parts[2] ?? '').toLowerCase();
  const address = parseIp(name);
  if (parts[1] !== undefined && (address === null || !name.includes(':'))) return false;
  if (address === null) return name === 'localhost' || hosts.some((host) => host.toLowerCase() === name);
  return isLoopback(address) || hosts.some((host) => sameAddress(host, address));
}

function sameAddress(host: string, address: NonNullable<ReturnType<typeof parseIp>>): boolean {
  const listed = parseIp(host);
  return listed !== null && listed.family === address.family && listed.value === address.value;
}
