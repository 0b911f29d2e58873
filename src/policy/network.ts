import type { ProviderNetwork } from './types.ts';

const MIN_V4_PREFIX = 8;
const MIN_V6_PREFIX = 16;
const MIN_PINS = 2;

interface Prefix {
  readonly family: 4 | 6;
  readonly length: number;
  readonly loopback: boolean;
}

/** What is wrong with a provider's address and network facts, one sentence each; empty when they can be used. */
export function networkProblems(url: string, network: ProviderNetwork): string[] {
  if (!URL.canParse(url)) return ['url: expected an absolute http or https URL'];
  const target = new URL(url);
  return [
    ...urlProblems(url, target),
    ...hostProblems(target, network),
    ...addressProblems(network),
    ...transportProblems(target, network),
    ...proxyProblems(network),
  ];
}

/** True when every address that may be connected is this machine's own and nothing stands in between. */
export function staysOnMachine(network: ProviderNetwork): boolean {
  if (network.proxy !== null || network.addresses.length === 0) return false;
  return network.addresses.every((text) => parsePrefix(text)?.loopback === true);
}

function urlProblems(url: string, target: URL): string[] {
  const problems: string[] = [];
  if (target.protocol !== 'https:' && target.protocol !== 'http:')
    problems.push('url: expected http or https');
  if (target.username !== '' || target.password !== '')
    problems.push('url: expected no user and no password');
  if (target.search !== '' || target.hash !== '') problems.push('url: expected no query and no fragment');
  // A spelling that the parser rewrites (2130706434, 127.1, full-width digits, a trailing dot) hides the real host.
  const rest = url.startsWith(`${target.protocol}//${target.host}`)
    ? url.slice(target.protocol.length + 2 + target.host.length)
    : '?';
  if (!/^(:\d+)?(\/[A-Za-z0-9._~/-]*)?$/.test(rest) || target.hostname.endsWith('.'))
    problems.push(`url: expected the plain spelling, ${target.protocol}//${target.host}`);
  return problems;
}

function hostProblems(target: URL, network: ProviderNetwork): string[] {
  if (network.hosts.includes(target.hostname)) return [];
  return [`network.hosts: expected ${target.hostname}, the host of url, among them`];
}

function addressProblems(network: ProviderNetwork): string[] {
  if (network.addresses.length === 0) return ['network.addresses: expected at least one prefix'];
  return network.addresses.flatMap((text) => {
    const prefix = parsePrefix(text);
    if (prefix === null) return [`network.addresses: expected a prefix like 203.0.113.0/24, found "${text}"`];
    const minimum = prefix.family === 4 ? MIN_V4_PREFIX : MIN_V6_PREFIX;
    // An address check that everything passes is no check.
    return prefix.length < minimum ? [`network.addresses: "${text}" is wider than /${minimum}`] : [];
  });
}

function transportProblems(target: URL, network: ProviderNetwork): string[] {
  if (target.protocol === 'http:') {
    const pinned = network.pins.length > 0 || network.issuer !== null;
    if (pinned) return ['network.pins: plain http has no certificate to pin'];
    if (isLoopbackHost(target.hostname) && staysOnMachine(network)) return [];
    return ['url: plain http is for loopback hosts with loopback addresses and no proxy only; use https'];
  }
  if (network.issuer !== null && network.pins.length > 0)
    return ['network: expected pins or an issuer, found both'];
  if (network.issuer !== null) return [];
  if (new Set(network.pins).size >= MIN_PINS) return [];
  return [`network.pins: expected an issuer, or ${MIN_PINS} different pins so that one can be replaced`];
}

function proxyProblems(network: ProviderNetwork): string[] {
  if (network.proxy === null) return [];
  const proxy = URL.canParse(network.proxy) ? new URL(network.proxy) : null;
  const plain =
    proxy !== null &&
    (proxy.protocol === 'http:' || proxy.protocol === 'https:') &&
    proxy.username === '' &&
    proxy.password === '' &&
    (proxy.pathname === '/' || proxy.pathname === '') &&
    proxy.search === '';
  return plain ? [] : ['network.proxy: expected http://host:port without user, password and path'];
}

function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function parsePrefix(text: string): Prefix | null {
  const found = /^([0-9a-f:.]+)\/(0|[1-9]\d{0,2})$/i.exec(text);
  if (found === null) return null;
  const [address = '', length] = [found[1], Number(found[2])];
  if (address.includes(':')) {
    if (length > 128 || !URL.canParse(`http://[${address}]/`)) return null;
    const loopback = new URL(`http://[${address}]/`).hostname === '[::1]' && length === 128;
    return { family: 6, length, loopback };
  }
  const octets = address.split('.');
  const valid =
    octets.length === 4 && octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256);
  if (!valid || length > 32) return null;
  return { family: 4, length, loopback: octets[0] === '127' && length >= 8 };
}
