import { refusal } from './refusal.ts';
import type { EgressRequest } from './types.ts';

// In lower case: another spelling could carry the same header twice.
const ALLOWED: ReadonlySet<string> = new Set([
  'content-type',
  'accept',
  'authorization',
  'api-key',
  'x-api-key',
]);

const FIXED: Readonly<Record<string, string>> = { 'user-agent': 'sekisho', 'accept-encoding': 'identity' };

const PRINTABLE = /^[\t\x20-\x7e]*$/;

/**
 * The headers that leave, name and value in turn; host, connection and content-length are the connection's own.
 * @throws Fault `egress.denied` by guard header for any other header, or a listed one with another value.
 */
export function outgoingHeaders(request: EgressRequest, host: string): string[] {
  const out = ['user-agent', 'sekisho', 'accept-encoding', 'identity'];
  for (const name in request.headers) {
    const value = request.headers[name] ?? '';
    if (ALLOWED.has(name) && PRINTABLE.test(value)) out.push(name, value);
    else if (value !== expected(name, request, host))
      throw refusal('header', `the header ${safe(name)} may not leave`);
  }
  return out;
}

// Stating what the connection sends anyway changes nothing.
function expected(name: string, request: EgressRequest, host: string): string | undefined {
  if (name === 'host') return host;
  if (name === 'content-length') return String(request.body?.length ?? 0);
  return FIXED[name];
}

function safe(name: string): string {
  return /^[\w-]{1,64}$/.test(name) ? name : 'with a malformed name';
}
