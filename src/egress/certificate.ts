import { X509Certificate, createHash } from 'node:crypto';
import { connect, createSecureContext, getCACertificates } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock } from '../core/world.ts';
import type { Guards } from './guards.ts';
import type { Target } from './network.ts';
import { refusal, unreachable } from './refusal.ts';

/** Whom TLS trusts: the roots built into the runtime and a declared bundle; the environment adds nothing. */
export interface Trust {
  readonly context: SecureContext;
  readonly roots: readonly string[];
}

/** The built-in roots, and beside them those of a PEM bundle. */
export function createTrust(ca: Buffer | null): Trust {
  const roots = trustedRoots(ca);
  return { context: createSecureContext({ ca: [...roots], minVersion: 'TLSv1.2' }), roots };
}

/** PEM texts. Named to TLS one by one: without a list of its own it would trust what the environment adds. */
export function trustedRoots(ca: Buffer | null): readonly string[] {
  const declared = ca === null ? [] : pemBlocks(ca.toString('latin1'));
  return [...getCACertificates('bundled'), ...declared];
}

export interface Handshake {
  readonly trust: Trust;
  readonly guards: Guards;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * TLS over a connected socket, with the certificate verified and pinned before anything is written.
 * @throws Fault `egress.denied` by the guards certificate and pin; `egress.unreachable`.
 */
export async function secure(raw: Socket, target: Target, shake: Handshake): Promise<Secured> {
  const socket = connect({
    socket: raw,
    host: target.host,
    // RFC 6066 section 3 allows names only.
    ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
    secureContext: shake.trust.context,
    rejectUnauthorized: shake.guards.on('certificate'),
    ALPNProtocols: ['http/1.1'],
  });
  await handshaken(socket, target, shake.signal);
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) throw refusal('certificate', `${target.name}: no certificate`);
  const spki = spkiPin(leaf);
  if (shake.guards.on('pin') && !isPinned(leaf, spki, target, shake)) {
    socket.destroy();
    throw refusal('pin', `${target.name}: the certificate is neither pinned nor of the pinned issuer`);
  }
  return { socket, spki };
}

export interface Secured {
  readonly socket: TLSSocket;
  readonly spki: string;
}

/** `sha256:<hex of DER SPKI>`. */
export function spkiPin(certificate: X509Certificate): string {
  const der = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `sha256:${createHash('sha256').update(der).digest('hex')}`;
}

function pemBlocks(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function handshaken(socket: TLSSocket, target: Target, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (fault: Error): void => {
      socket.destroy();
      reject(fault);
    };
    const aborted = (): void => end(unreachable(`${target.name}: TLS did not come up in time`));
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', aborted);
      resolve();
    });
    socket.on('error', (error) => {
      signal.removeEventListener('abort', aborted);
      // Set by the runtime only when the certificate itself was found wanting.
      if (socket.authorizationError) end(refusal('certificate', `${target.name}: ${error.message}`, error));
      else end(unreachable(`${target.name}: TLS failed`, error));
    });
  });
}

function isPinned(leaf: X509Certificate, spki: string, target: Target, shake: Handshake): boolean {
  if (target.pins.size === 0 && target.issuer === null) return true;
  if (target.pins.has(spki)) return true;
  return target.issuer !== null && isIssuedBy(leaf, target.issuer, shake);
}

const MAX_CHAIN = 10;

// The chain as sent is the peer's claim and may carry anybody's public certificates: a certificate counts as an issuer
// only when it is a CA, in date, and its key verifies the signature of the one below.
function isIssuedBy(leaf: X509Certificate, issuer: string, shake: Handshake): boolean {
  const candidates = [...sentIssuers(leaf), ...rootsWithKey(shake.trust.roots, issuer)];
  const now = shake.clock.now();
  let below = leaf;
  for (let depth = 0; depth < MAX_CHAIN; depth++) {
    const above = candidates.find((candidate) => signs(candidate, below, now));
    if (above === undefined) return false;
    if (spkiPin(above) === issuer) return true;
    if (above.fingerprint256 === below.fingerprint256) return false;
    below = above;
  }
  return false;
}

function sentIssuers(leaf: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  let next = leaf.issuerCertificate;
  while (next !== undefined && sent.length < MAX_CHAIN) {
    sent.push(next);
    next = next.issuerCertificate;
  }
  return sent;
}

function rootsWithKey(roots: readonly string[], pin: string): X509Certificate[] {
  return roots.map((pem) => new X509Certificate(pem)).filter((root) => spkiPin(root) === pin);
}

function signs(above: X509Certificate, below: X509Certificate, now: number): boolean {
  const inDate = above.validFromDate.getTime() <= now && now <= above.validToDate.getTime();
  return above.ca && inDate && below.checkIssued(above) && below.verify(above.publicKey);
}
