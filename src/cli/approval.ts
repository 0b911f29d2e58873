import { parseArgs } from 'node:util';
import { connectSite, type SiteApi } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const APPROVAL_HELP: Text = {
  ja: `使い方: sekisho approval new --purpose 用途 (--key 鍵ID | --org 組織ID) [--hours 時間] [--reason 理由] [--json]
       sekisho approval list [--all] [--json]
       sekisho approval revoke ID [--json]
承認の要る用途を、鍵または組織に一定時間だけ認める、並べる、取り消す。認めるのは使う鍵とは別の、バンドルが定める
役割を持つ鍵で、SEKISHO_KEY に置く。時間の既定はバンドルの上限。付与と取り消しは台帳に記録される (理由は記録されない)。
`,
  en: `usage: sekisho approval new --purpose P (--key ID | --org ID) [--hours N] [--reason TEXT] [--json]
       sekisho approval list [--all] [--json]
       sekisho approval revoke ID [--json]
Approves a purpose that needs it, for a key or an organisation and for a time; lists and takes back. It takes a key with
the role that the bundle names, in SEKISHO_KEY, and another one than the key that will use it. Hours default to the most
that the bundle allows. Giving and taking back are recorded in the log, the reason is not.
`,
};

interface ApprovalFlags {
  readonly purpose?: string | undefined;
  readonly key?: string | undefined;
  readonly org?: string | undefined;
  readonly hours?: string | undefined;
  readonly reason?: string | undefined;
  readonly all: boolean;
  readonly json: boolean;
}

/** `sekisho approval new|list|revoke`. */
export async function approvalCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      purpose: { type: 'string' },
      key: { type: 'string' },
      org: { type: 'string' },
      hours: { type: 'string' },
      reason: { type: 'string' },
      all: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [act, id] = positionals;
  const order = act === 'new' && positionals.length === 1 ? orderOf(values) : null;
  const known = order !== null || (act === 'list' && id === undefined) || (act === 'revoke' && id);
  if (!known || positionals.length > 2) {
    io.err(say(io, APPROVAL_HELP));
    return USAGE;
  }
  await using site = await connectSite(io.env);
  if (order !== null) return await give(site, io, { order, json: values.json });
  if (act === 'list') return await list(site, io, values);
  const path = `/api/v1/approvals/${encodeURIComponent(id ?? '')}`;
  const revoked = await site.json({ method: 'DELETE', path });
  if (values.json) io.out(`${JSON.stringify(revoked)}\n`);
  return OK;
}

// Null for what the site would refuse without looking: exactly one of key and organisation, and whole hours.
function orderOf(flags: ApprovalFlags): Readonly<Record<string, unknown>> | null {
  const { purpose, key, org, hours, reason } = flags;
  if (purpose === undefined || (key === undefined) === (org === undefined)) return null;
  if (hours !== undefined && !/^[1-9]\d{0,5}$/.test(hours)) return null;
  return {
    purpose,
    ...(key === undefined ? { tenant: org } : { caller: key }),
    ...(hours === undefined ? {} : { hours: Number(hours) }),
    ...(reason === undefined ? {} : { reason }),
  };
}

async function give(
  site: SiteApi,
  io: Io,
  { order, json }: { readonly order: Readonly<Record<string, unknown>>; readonly json: boolean },
): Promise<number> {
  const given = await site.json({
    method: 'POST',
    path: '/api/v1/approvals',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(order)),
  });
  io.out(json ? `${JSON.stringify(given)}\n` : `${rowOf(given)}\n`);
  return OK;
}

async function list(site: SiteApi, io: Io, { all, json }: ApprovalFlags): Promise<number> {
  const path = all ? '/api/v1/approvals?all=true' : '/api/v1/approvals';
  const listed = await site.json({ method: 'GET', path });
  if (json) {
    io.out(`${JSON.stringify(listed)}\n`);
    return OK;
  }
  const found =
    typeof listed === 'object' && listed !== null && 'approvals' in listed ? listed.approvals : [];
  for (const approval of Array.isArray(found) ? found : []) io.out(`${rowOf(approval)}\n`);
  return OK;
}

// Swedish writes dates as ISO 8601 does.
const UTC = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' });

/** Id, state, purpose, who may use it, who gave it in which role, and until when. */
function rowOf(approval: unknown): string {
  if (typeof approval !== 'object' || approval === null) return '';
  const field = (name: string): string | null => {
    const value: unknown = Object.getOwnPropertyDescriptor(approval, name)?.value;
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
  };
  const subject = field('caller') ?? field('tenant');
  const giver = `${field('giver')} (${field('role')})`;
  const until = `${UTC.format(Number(field('until')))}Z`;
  return [field('id'), field('state'), field('purpose'), subject, giver, until].join('  ');
}
