import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { toFault } from '../core/fault.ts';
import { connectSite } from '../server/site-api.ts';
import { resolveConfig } from '../server/start.ts';
import { FAILED, OK, say, type Io, type Text } from './io.ts';

export const DOCTOR_HELP = {
  ja: '使い方: sekisho doctor [--json]\n不具合を、直し方とともに並べる。失敗があれば 1 で終わる。\n',
  en: 'usage: sekisho doctor [--json]\nLists what is wrong, each with its fix. Exits 1 when something fails.\n',
};

interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failing';
  readonly detail: string;
}

/** `sekisho doctor`: looks at this machine and asks the site about itself. */
export async function doctorCommand(args: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
  const findings = [
    ...environment(io),
    ...(await adminKey(io)),
    ...(await logKeys(io)),
    ...(await ofSite(io)),
    ...(await twoHands(io)),
  ];
  if (values.json) io.out(`${JSON.stringify({ findings })}\n`);
  else for (const { name, state, detail } of findings) io.out(`${state.padEnd(8)} ${name}: ${detail}\n`);
  return findings.some(({ state }) => state === 'failing') ? FAILED : OK;
}

function environment(io: Io): readonly Finding[] {
  return io.env.dangers.map(({ name, effect }) => ({
    name,
    state: 'warning' as const,
    detail: say(io, {
      ja: `この変数 (${effect}) は Sekisho には効かないが、同じ環境の他のプログラムには効く。外すとよい`,
      en: `this variable (${effect}) has no effect on Sekisho, but on other programs beside it; unset it`,
    }),
  }));
}

async function adminKey(io: Io): Promise<readonly Finding[]> {
  const file = path.join(io.env.data ?? 'data', 'admin-key');
  const found = await stat(file).catch(() => null);
  if (found === null) return [];
  const open = (found.mode & 0o077) !== 0;
  const split: Text = {
    ja: '最初の鍵は admin, operator, auditor, caller を兼ねる。人が増えたら sekisho key new --role … で分ける',
    en: 'the first key holds admin, operator, auditor and caller; with more people, split it: sekisho key new --role …',
  };
  const readable: Text = {
    ja: `他人が読める。chmod 600 ${file}`,
    en: `others can read it: chmod 600 ${file}`,
  };
  return [
    open
      ? { name: 'admin-key', state: 'failing', detail: say(io, readable) }
      : { name: 'admin-key', state: 'warning', detail: say(io, split) },
  ];
}

// An unusable configuration has its own finding, by the site that does not answer.
function keysFolder(io: Io): string {
  const standard = path.join(io.env.data ?? 'data', 'keys');
  try {
    return resolveConfig(io.env, {}).config.ledger.keys ?? standard;
  } catch {
    return standard;
  }
}

async function logKeys(io: Io): Promise<readonly Finding[]> {
  const folder = keysFolder(io);
  const names = await readdir(folder).catch(() => []);
  const found = (name: string, text: Text): Finding => ({ name, state: 'warning', detail: say(io, text) });
  return names.flatMap((name) => {
    if (name === 'ledger-log.next.key')
      return found(name, {
        ja: '鍵の交換が途中である。サイトを起動するか、sekisho ledger rotate をもう一度行う',
        en: 'the log’s key is being replaced: start the site, or run sekisho ledger rotate again',
      });
    if (!/^ledger-log\..+\.kept\.key$/.test(name)) return [];
    const file = path.join(folder, name);
    return found(name, {
      ja: `終わった台帳の秘密鍵が残っている。要らなければ上書きして消す: shred -u ${file}`,
      en: `the secret key of an ended log is kept; when it is not needed, overwrite and remove it: shred -u ${file}`,
    });
  });
}

async function ofSite(io: Io): Promise<readonly Finding[]> {
  try {
    await using site = await connectSite(io.env);
    const reply = await site.send({ method: 'GET', path: '/readyz', signal: io.signal });
    return checksOf(JSON.parse((await reply.bytes()).toString('utf8')));
  } catch (thrown) {
    return [{ name: 'site', state: 'failing', detail: toFault(thrown).message }];
  }
}

// Only an administrator's key may list keys; with any other there is nothing to say here.
async function twoHands(io: Io): Promise<readonly Finding[]> {
  try {
    await using site = await connectSite(io.env);
    const reply = await site.send({ method: 'GET', path: '/api/v1/keys', signal: io.signal });
    const bytes = await reply.bytes();
    return reply.status === 200 ? joinedRoles(JSON.parse(bytes.toString('utf8')), io) : [];
  } catch {
    // That no site answers has been said already.
    return [];
  }
}

function joinedRoles(listed: unknown, io: Io): readonly Finding[] {
  const keys = typeof listed === 'object' && listed !== null && 'keys' in listed ? listed.keys : [];
  return (Array.isArray(keys) ? keys : []).filter(holdsBoth).map(({ id }) => ({
    name: `key ${id}`,
    state: 'warning' as const,
    detail: say(io, {
      ja: `policy-signer と operator を兼ねる。規則を扱う者と動かす者を分ける: sekisho key new --role policy-signer と --role operator で二つ作り、sekisho key revoke ${id}`,
      en: `holds policy-signer and operator, which belong in two hands: make two keys with sekisho key new --role policy-signer and --role operator, then sekisho key revoke ${id}`,
    }),
  }));
}

function holdsBoth(key: unknown): key is { readonly id: string } {
  if (typeof key !== 'object' || key === null) return false;
  if (!('id' in key && typeof key.id === 'string' && 'roles' in key && 'revoked' in key)) return false;
  const { roles, revoked } = key;
  return (
    revoked === null && Array.isArray(roles) && roles.includes('policy-signer') && roles.includes('operator')
  );
}

function checksOf(ready: unknown): readonly Finding[] {
  const checks = typeof ready === 'object' && ready !== null && 'checks' in ready ? ready.checks : [];
  return Array.isArray(checks) ? checks.filter(isFinding) : [];
}

function isFinding(value: unknown): value is Finding {
  return (
    typeof value === 'object' && value !== null && 'name' in value && 'state' in value && 'detail' in value
  );
}
