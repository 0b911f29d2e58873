import { X509Certificate } from 'node:crypto';
import { Socket } from 'node:net';
import { Agent, buildConnector, request } from 'undici';
import { Fault } from '../core/fault.ts';
import { trustedRoots } from './certificate.ts';

const DEFAULT_PORT = 80;

/** A reply of a site; `body` must be read to its end or destroyed. */
export interface SiteReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Buffer>;
  bytes(): Promise<Buffer>;
}

export interface SiteRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | null;
  readonly signal?: AbortSignal;
}

/** Whom a client trusts over https beside the built-in roots, both in PEM. */
export interface SiteTrust {
  /** A private authority. */
  readonly ca?: Buffer | null;
  /** The one certificate that the site may show, whatever name it bears. */
  readonly own?: string | null;
}

/**
 * The command line's way to the site that its user named. It follows no redirect, and no variable of the environment
 * moves it or changes whom it trusts.
 */
export class SiteClient implements AsyncDisposable {
  readonly #origin: string;
  readonly #agent: Agent;

  /** @throws Fault `egress.invalid_url` unless http or https. */
  constructor(url: string, trust: SiteTrust = {}) {
    this.#origin = originOf(url);
    this.#agent = new Agent({ connect: connector(trust) });
  }

  /** @throws Fault `egress.unreachable` when the site does not answer, also from `bytes` when it stops half-way. */
  async send(asked: SiteRequest): Promise<SiteReply> {
    const { method, path, headers = {}, body = null, signal } = asked;
    try {
      const reply = await request(`${this.#origin}${path}`, {
        method,
        headers,
        body,
        dispatcher: this.#agent,
        signal: signal ?? null,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      return {
        status: reply.statusCode,
        headers: single(reply.headers),
        body: reply.body,
        bytes: () => whole(reply.body, this.#origin),
      };
    } catch (cause) {
      const message = `no answer from ${this.#origin}; is the site up, and is SEKISHO_URL right?`;
      throw new Fault('unavailable', 'egress.unreachable', message, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

async function whole(body: { arrayBuffer(): Promise<ArrayBuffer> }, origin: string): Promise<Buffer> {
  try {
    return Buffer.from(await body.arrayBuffer());
  } catch (cause) {
    const message = `the answer of ${origin} broke off before its end`;
    throw new Fault('unavailable', 'egress.unreachable', message, { cause });
  }
}

// Known before it connects, so that a site may talk to itself without tripping its own wire.
const clientSockets = new WeakSet<object>();

/** True for sockets of a client made here. */
export function isClientSocket(socket: object): boolean {
  return clientSockets.has(socket);
}

function connector(trust: SiteTrust): buildConnector.connector {
  const secure = buildConnector(tlsOptions(trust));
  return (options, callback) => {
    if (options.protocol === 'https:') {
      secure(options, callback);
      return;
    }
    const socket = new Socket();
    clientSockets.add(socket);
    socket.setNoDelay(true);
    socket.once('error', (error) => callback(error, null));
    socket.connect({ host: options.hostname, port: Number(options.port) || DEFAULT_PORT }, () =>
      callback(null, socket),
    );
  };
}

// Said in full, because what is left out here is taken from the environment.
function tlsOptions({ ca = null, own = null }: SiteTrust): buildConnector.BuildOptions {
  const checked = { rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  if (own === null) return { ...checked, ca: [...trustedRoots(ca)] };
  const expected = new X509Certificate(own).fingerprint256;
  return {
    ...checked,
    ca: own,
    allowPartialTrustChain: true,
    checkServerIdentity: (_host, { fingerprint256 }) =>
      fingerprint256 === expected ? undefined : new Error('another certificate than this site has'),
  };
}

function originOf(url: string): string {
  if (URL.canParse(url)) {
    const { protocol, origin } = new URL(url);
    if (protocol === 'http:' || protocol === 'https:') return origin;
  }
  throw new Fault(
    'invalid',
    'egress.invalid_url',
    `expected an http or https address, found ${JSON.stringify(url)}`,
  );
}

function single(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}
