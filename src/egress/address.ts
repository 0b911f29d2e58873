import { parseIp, parsePrefix, prefixHas } from '../core/address.ts';
import type { IpAddress, IpPrefix } from '../core/address.ts';
import { invalidNetwork } from './refusal.ts';

/** A set of address prefixes. Membership is judged on the address that an embedding really leads to. */
export interface Prefixes {
  has(address: string): boolean;
  /** True when every prefix lies within `outer`. */
  within(outer: Prefixes): boolean;
  /** True when one of the prefixes holds all of `inner`. */
  holds(inner: IpPrefix): boolean;
}

const LOW_32 = 0xffff_ffffn;
const TRANSLATED = 0xffff_0000n; // ::ffff:0:0:0/96, RFC 2765
const NAT64 = 0x64_ff9b_0000_0000_0000_0000n; // 64:ff9b::/96, RFC 6052
const NAT64_LOCAL = 0x64_ff9b_0001n; // 64:ff9b:1::/48, RFC 8215
const SIX_TO_FOUR = 0x2002n; // 2002::/16, RFC 3056
const TEREDO = 0x2001_0000n; // 2001::/32, RFC 4380

/**
 * Reads CIDR prefixes.
 * @throws Fault `egress.invalid_network` for anything else.
 */
export function parsePrefixes(texts: readonly string[]): Prefixes {
  const ranges = texts.map(readPrefix);
  const holds = (inner: IpPrefix): boolean =>
    ranges.some((range) => range.bits <= inner.bits && prefixHas(range, inner));
  return {
    has(text) {
      const address = endOf(text);
      return address !== null && ranges.some((range) => prefixHas(range, address));
    },
    holds,
    within: (outer) => ranges.every((range) => outer.holds(range)),
  };
}

/** This machine. */
export const LOOPBACK: Prefixes = parsePrefixes(['127.0.0.0/8', '::1/128']);

/** Inside the building: loopback, RFC 1918, RFC 4193. */
export const INSIDE: Prefixes = parsePrefixes([
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
]);

/** The public internet: global unicast without the special-purpose blocks of RFC 6890. */
export const PUBLIC: Prefixes = without(parsePrefixes(['0.0.0.0/0', '2000::/3']), [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '2001::/23',
  '2001:db8::/32',
  '3fff::/20',
]);

function without(all: Prefixes, excepted: readonly string[]): Prefixes {
  const special = parsePrefixes(excepted);
  return { ...all, has: (address) => all.has(address) && !special.has(address) };
}

function readPrefix(text: string): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === null) throw invalidNetwork(`expected a CIDR prefix, found ${text}`);
  return prefix;
}

/** The address a packet ends at, or null for text that is none and for tunnels whose end cannot be told. */
function endOf(text: string): IpAddress | null {
  const plain = parseIp(text);
  if (plain === null || plain.family === 4) return plain;
  const { value } = plain;
  const high = value >> 32n;
  if (high === TRANSLATED || high === NAT64) return { family: 4, value: value & LOW_32 };
  // RFC 4291 section 2.5.5.1, deprecated: ::a.b.c.d, except :: and ::1.
  if (high === 0n && value > 1n) return { family: 4, value };
  if (value >> 112n === SIX_TO_FOUR) return { family: 4, value: (value >> 80n) & LOW_32 };
  if (value >> 80n === NAT64_LOCAL || value >> 96n === TEREDO) return null;
  return plain;
}
