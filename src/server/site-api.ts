import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Env } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { Secret } from '../core/secret.ts';
import { parseIp } from '../core/address.ts';
import type { Config } from '../core/config.ts';
import { readTextFile } from '../core/secret-file.ts';
import { SiteClient, type SiteReply, type SiteRequest, type SiteTrust } from '../egress/site-client.ts';
import { resolveConfig } from './start.ts';

/** A site as the command line talks to it: its address and the key to use. */
export class SiteApi implements AsyncDisposable {
  readonly #client: SiteClient;
  readonly #key: Secret | null;

  constructor(url: string, key: Secret | null, trust: SiteTrust = {}) {
    this.#client = new SiteClient(url, trust);
    this.#key = key;
  }

  async send(request: SiteRequest): Promise<SiteReply> {
    const auth = this.#key === null ? {} : { authorization: `Bearer ${this.#key.reveal()}` };
    return this.#client.send({ ...request, headers: { ...auth, ...request.headers } });
  }

  /**
   * A JSON reply with a success status.
   * @throws Fault `server.refused` with the site's own message otherwise.
   */
  async json(request: SiteRequest): Promise<unknown> {
    const reply = await this.send(request);
    const bytes = await reply.bytes();
    if (reply.status >= 400) throw refusalOf(reply, bytes);
    return JSON.parse(bytes.toString('utf8'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Where a site is, what to show it, and how it is known. */
export interface SiteAccess {
  readonly url: string;
  readonly key: Secret | null;
  readonly trust: SiteTrust;
}

/**
 * The site of SEKISHO_URL and SEKISHO_KEY, else the one that the configuration here describes, with its own admin key.
 * @throws Faults of `resolveConfig`.
 */
export async function siteAccess(env: Env): Promise<SiteAccess> {
  if (env.url !== null) return { url: env.url, key: env.key, trust: declaredTrust(env) };
  const { config, dataDir } = resolveConfig(env, {});
  const { tls } = config.server;
  return {
    url: localUrl(config.server),
    key: env.key ?? (await localAdminKey(env, dataDir)),
    // Its certificate bears the name that others know it by, which is not the address that it is reached at from here.
    trust: tls === null ? {} : { own: tls.cert },
  };
}

/** The authority of SEKISHO_CA. @throws Fault `core.unreadable_file`. */
export function declaredTrust({ ca }: Pick<Env, 'ca'>): SiteTrust {
  return ca === null ? {} : { ca: Buffer.from(readTextFile(ca, 'SEKISHO_CA')) };
}

/** A connection to the site of `siteAccess`. */
export async function connectSite(env: Env): Promise<SiteApi> {
  const { url, key, trust } = await siteAccess(env);
  return new SiteApi(url, key, trust);
}

function localUrl({ host, port, tls }: Config['server']): string {
  return `${tls === null ? 'http' : 'https'}://${dialled(host)}:${port}`;
}

// A site that listens everywhere is reached by loopback, whose names it always answers to.
function dialled(host: string): string {
  const address = parseIp(host);
  if (address?.value === 0n) return address.family === 6 ? '[::1]' : '127.0.0.1';
  return address?.family === 6 ? `[${host}]` : host;
}

async function localAdminKey(env: Env, dataDir: string): Promise<Secret | null> {
  if (env.adminKey !== null) return env.adminKey;
  try {
    return new Secret((await readFile(path.join(dataDir, 'admin-key'), 'utf8')).trim());
  } catch {
    // No site has been started here: the request then says that a key is missing.
    return null;
  }
}

/** What a site answered instead of success, in words for a person; `details` has its body and the receipt's id. */
export function refusalOf({ status, headers }: Pick<SiteReply, 'status' | 'headers'>, bytes: Buffer): Fault {
  const body = bodyOf(bytes);
  const receipt = headers['sekisho-receipt'];
  const message = messageOf(body) ?? `the site answered with status ${status}`;
  const details = { status, body, ...(receipt === undefined ? {} : { receipt }) };
  return new Fault('denied', 'server.refused', message, { details });
}

function bodyOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

function messageOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  if ('detail' in body && typeof body.detail === 'string') return body.detail;
  return 'error' in body ? messageOfError(body.error) : null;
}

function messageOfError(error: unknown): string | null {
  const known = typeof error === 'object' && error !== null && 'message' in error;
  return known && typeof error.message === 'string' ? error.message : null;
}
