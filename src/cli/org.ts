import { parseArgs } from 'node:util';
import { createTenant, listTenants } from '../identity/contract.ts';
import { connectSite, type SiteApi } from '../server/site-api.ts';
import { misuse, OK, say, USAGE, type Io } from './io.ts';

export const ORG_HELP = {
  ja: `使い方: sekisho org new 名前 [--json]
       sekisho org list [--json]
組織を作る、並べる。作るとIDを表示する。組織の鍵は sekisho key new --org ID で作る。
`,
  en: `usage: sekisho org new NAME [--json]
       sekisho org list [--json]
Makes and lists organisations. A new one's id is printed; sekisho key new --org ID makes a key of it.
`,
};

/** `sekisho org new|list`. */
export async function orgCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  const [act, name, ...rest] = positionals;
  if (act === 'list' && name === undefined) {
    await using site = await connectSite(io.env);
    return await list(site, io, values.json);
  }
  if (act !== 'new' || name === undefined || rest.length > 0) {
    io.err(say(io, ORG_HELP));
    return USAGE;
  }
  const order = createTenant.body.safeParse({ name });
  if (!order.success) {
    return misuse(io, {
      ja: '名前は 1 文字以上 64 文字以下',
      en: 'expected a name of 1 to 64 characters',
    });
  }
  await using site = await connectSite(io.env);
  return await make(site, io, { order: order.data, json: values.json });
}

async function make(
  site: SiteApi,
  io: Io,
  { order, json }: { readonly order: { readonly name: string }; readonly json: boolean },
): Promise<number> {
  const made = createTenant.reply.parse(
    await site.json({
      method: 'POST',
      path: createTenant.path,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(order)),
    }),
  );
  io.out(json ? `${JSON.stringify(made)}\n` : `${made.id}\n`);
  return OK;
}

async function list(site: SiteApi, io: Io, json: boolean): Promise<number> {
  const listed = listTenants.reply.parse(await site.json({ method: 'GET', path: listTenants.path }));
  if (json) io.out(`${JSON.stringify(listed)}\n`);
  else for (const { id, name } of listed.orgs) io.out(`${id}  ${name}\n`);
  return OK;
}
