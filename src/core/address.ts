/** An IP address as one number; IPv4 addresses written as IPv6 (`::ffff:a.b.c.d`) are IPv4. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** The addresses that share their first bits. */
export interface IpPrefix {
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly bits: number;
}

const MAPPED = 0xffffn; // ::ffff:0:0/96, RFC 4291 section 2.5.5.2

/** Null for anything but the plain spelling: no octal, no hex, no missing parts, no zone. */
export function parseIp(text: string): IpAddress | null {
  if (!text.includes(':')) {
    const value = ipv4(text);
    return value === null ? null : { family: 4, value };
  }
  const value = ipv6(text);
  if (value === null) return null;
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value };
}

/** Null for anything but `address/bits` whose remaining bits are zero, for others show a mistake. */
export function parsePrefix(text: string): IpPrefix | null {
  const [address = '', bits = '', ...rest] = text.split('/');
  if (rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits)) return null;
  const v4 = ipv4(address);
  const [family, width, value] = v4 === null ? [6 as const, 128, ipv6(address)] : [4 as const, 32, v4];
  const length = Number(bits);
  if (value === null || length > width) return null;
  const hostBits = BigInt(width - length);
  return (value >> hostBits) << hostBits === value ? { family, value, bits: length } : null;
}

export function prefixHas(prefix: IpPrefix, address: IpAddress): boolean {
  if (prefix.family !== address.family) return false;
  const hostBits = BigInt((prefix.family === 4 ? 32 : 128) - prefix.bits);
  return prefix.value >> hostBits === address.value >> hostBits;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: IpAddress): boolean {
  return address.family === 4 ? address.value >> 24n === 127n : address.value === 1n;
}

function ipv4(text: string): bigint | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

// RFC 4291 section 2.2, with at most one `::` and an IPv4 tail.
function ipv6(text: string): bigint | null {
  const halves = text.split('::');
  if (text.length > 45 || halves.length > 2) return null;
  const head = groups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array.from({ length: missing }, () => 0n), ...tail];
  return all.reduce((value, group) => (value << 16n) | group, 0n);
}

function groups(text: string, last: boolean): bigint[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const found: bigint[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && last && index === parts.length - 1) {
      const v4 = ipv4(part);
      if (v4 === null) return null;
      found.push(v4 >> 16n, v4 & 0xffffn);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return null;
      found.push(BigInt(`0x${part}`));
    }
  }
  return found;
}
