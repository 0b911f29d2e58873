import { SECOND } from '../core/duration.ts';
import { Fault } from '../core/fault.ts';
import { SiteClient, type SiteReply } from '../egress/site-client.ts';
import { declaredTrust, siteAccess } from '../server/site-api.ts';
import { say, type Io } from './io.ts';

/** A place that serves a log, or a site with several; what it answers is attacker-controlled. */
export interface LogClient extends AsyncDisposable {
  /** Whether SEKISHO_KEY is sent there. */
  readonly keyed: boolean;
  /**
   * The bytes at a path below the address, at most one more than `limit` of them; null for what is not there.
   * @throws Fault kind `denied` for a refused key, kind `unavailable` for any other answer and for none in a minute.
   */
  read(path: string, limit: number): Promise<Buffer | null>;
}

const PATIENCE_MS = 60 * SECOND;

/** Our own key goes with every request to our own site, and to nobody else. @throws Fault `egress.invalid_url`. */
export async function logClient(url: string, io: Io): Promise<LogClient> {
  const own = await siteAccess(io.env);
  const isOwn = URL.parse(url)?.origin === URL.parse(own.url)?.origin;
  const client = new SiteClient(url, isOwn ? own.trust : declaredTrust(io.env));
  const base = URL.parse(url)?.pathname.replace(/\/+$/, '') ?? '';
  const headers = isOwn && own.key !== null ? { authorization: `Bearer ${own.key.reveal()}` } : {};
  return {
    keyed: isOwn && io.env.key !== null,
    async read(path, limit) {
      const signal = AbortSignal.any([io.signal, AbortSignal.timeout(PATIENCE_MS)]);
      const reply = await client.send({ method: 'GET', path: `${base}${path}`, headers, signal });
      const bytes = await atMost(reply, limit);
      if (reply.status === 200) return bytes;
      if (reply.status === 404) return null;
      const isRefusal = reply.status === 401 || reply.status === 403;
      const message = refusedText(io, { status: reply.status, path });
      throw new Fault(isRefusal ? 'denied' : 'unavailable', 'cli.refused', message);
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

// A body without end is left where it passes the limit; leaving the loop ends its connection.
async function atMost({ body }: SiteReply, limit: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of body) {
      pieces.push(piece);
      length += piece.length;
      if (length > limit) break;
    }
  } catch (cause) {
    const message = 'the answer broke off before its end, or took longer than a minute';
    throw new Fault('unavailable', 'egress.unreachable', message, { cause });
  }
  return Buffer.concat(pieces).subarray(0, limit + 1);
}

function refusedText(io: Io, { status, path }: { readonly status: number; readonly path: string }): string {
  return say(io, {
    ja: `サイトは ${path} に ${status} と答えた。記録を読むには監査役の鍵が要る。SEKISHO_KEY の鍵は SEKISHO_URL のサイトにだけ送られる`,
    en: `the site answered ${status} for ${path}; entries need the key of an auditor. The key of SEKISHO_KEY is sent to the site of SEKISHO_URL alone`,
  });
}
