import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { signedStop } from '../server/bundle-desk.ts';
import { connectSite, type SiteApi } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';
import { siteText } from './policy-site.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy apply バンドル [--immediate] [--json]
       sekisho policy apply --emergency --signer 鍵ファイル [--immediate] [--json]
署名されたバンドルを有効にする。動いているバンドルの署名者が定足数だけ署名していなければならない。
--emergency は緊急停止: 署名者一人の署名で、すべての要求を拒否する。--immediate は送信中のものも切る。
`,
  en: `usage: sekisho policy apply BUNDLE [--immediate] [--json]
       sekisho policy apply --emergency --signer F [--immediate] [--json]
Puts a signed bundle in force. Enough of the running bundle's signers must have signed it.
--emergency is the emergency stop: one signer's signature denies every request. --immediate also cuts what still runs.
`,
};

/** `sekisho policy apply`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      emergency: { type: 'boolean', default: false },
      immediate: { type: 'boolean', default: false },
      signer: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { emergency, immediate, signer, json } = values;
  const [file] = positionals;
  const stops = emergency && signer !== undefined && file === undefined;
  const applies = !emergency && signer === undefined && file !== undefined && positionals.length === 1;
  if (!stops && !applies) {
    io.err(say(io, HELP));
    return USAGE;
  }
  await using site = await connectSite(io.env);
  const text = await textOf(site, { file, signer });
  const applied = await site.json({
    method: 'POST',
    path: `/api/v1/policy/apply?immediate=${immediate}`,
    headers: { 'content-type': 'text/plain' },
    body: Buffer.from(text),
  });
  io.out(json ? `${JSON.stringify(applied)}\n` : report(applied, io));
  return OK;
}

async function textOf(
  site: SiteApi,
  { file, signer }: { file: string | undefined; signer: string | undefined },
): Promise<string> {
  if (file !== undefined) return readFile(file, 'utf8');
  return signedStop(await siteText(site, '/api/v1/policy/running'), await readFile(signer ?? '', 'utf8'));
}

function report(applied: unknown, io: Io): string {
  const known = typeof applied === 'object' && applied !== null && 'version' in applied && 'hash' in applied;
  if (!known) return '';
  const [version, hash] = [String(applied.version), String(applied.hash)];
  if ('emergency' in applied && applied.emergency === true)
    return say(io, {
      ja: `緊急停止中。すべての要求を拒否する (第 ${version} 版 ${hash})。解除には署名者の定足数が要る\n`,
      en: `stopped: every request is denied (version ${version} ${hash}); the signers' threshold lifts it\n`,
    });
  return say(io, {
    ja: `第 ${version} 版 ${hash} が有効になった\n`,
    en: `version ${version} ${hash} is in force\n`,
  });
}
