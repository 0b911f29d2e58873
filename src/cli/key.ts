import { parseArgs } from 'node:util';
import { createKey } from '../identity/contract.ts';
import { connectSite, type SiteApi } from '../server/site-api.ts';
import { misuse, OK, say, USAGE, type Io, type Text } from './io.ts';

export const KEY_HELP = {
  ja: `使い方: sekisho key new [--name 名] [--role 役割]... [--org 組織ID] [--days 日数]
       sekisho key list
       sekisho key revoke ID
鍵を作る、並べる、取り消す。鍵そのものは一度だけ表示される。役割の既定は caller。
`,
  en: `usage: sekisho key new [--name N] [--role R]... [--org ID] [--days N]
       sekisho key list
       sekisho key revoke ID
Makes, lists and revokes keys. A key is shown once. The default role is caller.
`,
};

interface KeyOptions {
  readonly name: string | undefined;
  readonly role: readonly string[];
  readonly org: string | undefined;
  readonly days: string | undefined;
  readonly json: boolean;
}

const ROLE_NAMES = createKey.body.shape.roles.unwrap().element.options.join(' ');

/** By the member of the request that is wrong. */
const MISUSES: Readonly<Record<string, Text>> = {
  name: { ja: '--name: 1 文字以上 64 文字以下を', en: '--name: expected 1 to 64 characters' },
  roles: { ja: `--role: 次のどれかを: ${ROLE_NAMES}`, en: `--role: expected one of ${ROLE_NAMES}` },
  days: { ja: '--days: 1 から 3650 までの整数を', en: '--days: expected a whole number from 1 to 3650' },
};

/** `sekisho key new|list|revoke`. */
export async function keyCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      role: { type: 'string', multiple: true, default: ['caller'] },
      org: { type: 'string' },
      days: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [act, id] = positionals;
  const options: KeyOptions = { name: values.name, org: values.org, days: values.days, ...values };
  if (act === 'new' && positionals.length === 1) return await newKey(io, options);
  if (act === 'list' && positionals.length === 1) {
    await using site = await connectSite(io.env);
    return await listKeys(site, io, options.json);
  }
  if (act === 'revoke' && id !== undefined && positionals.length === 2) {
    await using site = await connectSite(io.env);
    await site.json({ method: 'DELETE', path: `/api/v1/keys/${encodeURIComponent(id)}` });
    return OK;
  }
  io.err(say(io, KEY_HELP));
  return USAGE;
}

async function newKey(io: Io, options: KeyOptions): Promise<number> {
  const order = createKey.body.safeParse({
    name: options.name ?? 'unnamed',
    roles: options.role,
    ...(options.org === undefined ? {} : { tenant: options.org }),
    ...(options.days === undefined ? {} : { days: wholeNumber(options.days) }),
  });
  if (!order.success) return misuse(io, MISUSES[String(order.error.issues[0]?.path[0])] ?? KEY_HELP);
  await using site = await connectSite(io.env);
  const made = await site.json({
    method: 'POST',
    path: '/api/v1/keys',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(order.data)),
  });
  if (options.json) io.out(`${JSON.stringify(made)}\n`);
  else if (typeof made === 'object' && made !== null && 'key' in made) io.out(`${String(made.key)}\n`);
  return OK;
}

// What is not one, such as 0x10 or 1e3, becomes what the contract refuses.
function wholeNumber(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
}

async function listKeys(site: SiteApi, io: Io, json: boolean): Promise<number> {
  const listed = await site.json({ method: 'GET', path: '/api/v1/keys' });
  if (json) {
    io.out(`${JSON.stringify(listed)}\n`);
    return OK;
  }
  const keys = typeof listed === 'object' && listed !== null && 'keys' in listed ? listed.keys : [];
  for (const key of Array.isArray(keys) ? keys : []) io.out(`${rowOf(key)}\n`);
  return OK;
}

function rowOf(key: unknown): string {
  if (typeof key !== 'object' || key === null) return '';
  const field = (name: string): string => {
    const value: unknown = Object.getOwnPropertyDescriptor(key, name)?.value;
    return Array.isArray(value) ? value.join(',') : typeof value === 'string' ? value : '-';
  };
  return [field('id'), field('tenant'), field('roles'), field('name')].join('  ');
}
