import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Env } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { Secret } from '../core/secret.ts';
import { SiteClient, type SiteReply, type SiteRequest } from '../egress/site-client.ts';

const DEFAULT_URL = 'http://127.0.0.1:8420';

/** A site as the command line talks to it: its address and the key to use. */
export class SiteApi implements AsyncDisposable {
  readonly #client: SiteClient;
  readonly #key: Secret | null;

  constructor(url: string, key: Secret | null) {
    this.#client = new SiteClient(url);
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
    if (reply.status >= 400) throw refusalOf(reply.status, bytes);
    return JSON.parse(bytes.toString('utf8'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** The site of SEKISHO_URL and SEKISHO_KEY, else the one on this machine with its own admin key. */
export async function connectSite(env: Env): Promise<SiteApi> {
  const key = env.key ?? (env.url === null ? await localAdminKey(env) : null);
  return new SiteApi(env.url ?? localUrl(env), key);
}

function localUrl(env: Env): string {
  return env.port === null ? DEFAULT_URL : `http://127.0.0.1:${env.port}`;
}

async function localAdminKey(env: Env): Promise<Secret | null> {
  if (env.adminKey !== null) return env.adminKey;
  try {
    return new Secret((await readFile(path.join(env.data ?? 'data', 'admin-key'), 'utf8')).trim());
  } catch {
    // No site has been started here: the request then says that a key is missing.
    return null;
  }
}

/** What a site answered instead of success, in words for a person. */
export function refusalOf(status: number, bytes: Buffer): Fault {
  const details = bodyOf(bytes);
  const message = messageOf(details) ?? `the site answered with status ${status}`;
  return new Fault('denied', 'server.refused', message, { details: { status, body: details } });
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
