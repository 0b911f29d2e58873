import { isLoopback, parseIp, parsePrefix } from '../core/address.ts';
import { listsHost, parseProxy, plainHost } from '../core/provider-place.ts';
import type { ProviderNetwork } from './types.ts';

const MIN_V4_PREFIX = 8;
const MIN_V6_PREFIX = 16;
const MIN_PINS = 2;

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
  return network.addresses.every(isLoopbackPrefix);
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
  if (listsHost(network.hosts, target.hostname)) return [];
  return [`network.hosts: expected ${plainHost(target.hostname)}, the host of url, among them`];
}

function addressProblems(network: ProviderNetwork): string[] {
  if (network.addresses.length === 0) return ['network.addresses: expected at least one prefix'];
  return network.addresses.flatMap((text) => {
    const prefix = parsePrefix(text);
    if (prefix === null)
      return [
        `network.addresses: expected a prefix like 203.0.113.0/24, with zero host bits, found "${text}"`,
      ];
    const minimum = prefix.family === 4 ? MIN_V4_PREFIX : MIN_V6_PREFIX;
    // An address check that everything passes is no check.
    return prefix.bits < minimum ? [`network.addresses: "${text}" is wider than /${minimum}`] : [];
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
  if (network.proxy === null || parseProxy(network.proxy) !== null) return [];
  return ['network.proxy: expected http://host:port, with the port and without user, password and path'];
}

function isLoopbackHost(hostname: string): boolean {
  const host = plainHost(hostname);
  const address = parseIp(host);
  return address === null ? host === 'localhost' : isLoopback(address);
}

function isLoopbackPrefix(text: string): boolean {
  const prefix = parsePrefix(text);
  return prefix !== null && isLoopback(prefix) && prefix.bits >= (prefix.family === 4 ? 8 : 128);
}
