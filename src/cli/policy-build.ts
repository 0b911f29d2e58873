import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  describeBundle,
  draftsFolder,
  foldDrafts,
  foldEarlier,
  type BundleFile,
} from '../server/bundle-desk.ts';
import { connectSite } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';
import { runningText, siteText } from './policy-site.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy build [--governance 場所] --out ファイル [--version N] [--json]
       sekisho policy build --from-history N --out ファイル [--json]
下書きを一つのバンドルにまとめ、部分ごとのダイジェストを示す。版は動いているものの次 (サイトに尋ねる)。
--version を付け、site.yaml に signers があれば、サイトに尋ねない。--from-history は以前の版の内容を新しい版にする。
`,
  en: `usage: sekisho policy build [--governance DIR] --out F [--version N] [--json]
       sekisho policy build --from-history N --out F [--json]
Folds drafts into one bundle and prints the digest of each part. Its version is the one after what runs, which the site
is asked for; with --version, and signers in site.yaml, no site is asked. --from-history makes the content of an earlier
version a new one.
`,
};

interface Options {
  readonly governance: string | null;
  readonly config: string | undefined;
  readonly version: number | null;
  readonly history: number | null;
}

/** `sekisho policy build`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      governance: { type: 'string' },
      config: { type: 'string' },
      out: { type: 'string' },
      version: { type: 'string' },
      'from-history': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { out, governance = null, config, json } = values;
  const version = numberOf(values.version);
  const history = numberOf(values['from-history']);
  const wrong = Number.isNaN(version) || Number.isNaN(history);
  if (out === undefined || wrong || (history !== null && governance !== null)) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const built = await build({ governance, config, version, history }, io);
  // A file that others may have signed already is not written over.
  await writeFile(out, built.text, { flag: 'wx' });
  io.out(json ? `${JSON.stringify(shown(built))}\n` : report(built, io));
  return OK;
}

async function build({ governance, config, version, history }: Options, io: Io): Promise<BundleFile> {
  if (history !== null) return rebuild(history, version, io);
  const folder = draftsFolder(io.env, { config }, governance);
  const asks = version === null;
  const running = asks ? await runningText(io) : null;
  const next = running === null ? 1 : describeBundle(running).version + 1;
  return foldDrafts(folder, { version: version ?? next, running });
}

async function rebuild(history: number, version: number | null, io: Io): Promise<BundleFile> {
  await using site = await connectSite(io.env);
  const running = await siteText(site, '/api/v1/policy/running');
  const earlier = await siteText(site, `/api/v1/policy/history/${history}`);
  return foldEarlier(earlier, { version: version ?? describeBundle(running).version + 1, running });
}

/** Null when not given, NaN when it is no version. */
function numberOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : Number.NaN;
}

function shown({ version, hash, signers, digests }: BundleFile): Omit<BundleFile, 'text'> {
  return { version, hash, signers, digests };
}

function report({ version, hash, signers, digests }: BundleFile, io: Io): string {
  const head = say(io, {
    ja: `第 ${version} 版 ${hash}、次の版の署名: ${signers.keys.length} 人中 ${signers.threshold} 人`,
    en: `version ${version} ${hash}, its successor needs ${signers.threshold} of ${signers.keys.length} signers`,
  });
  const rows = Object.entries(digests).map(([part, digest]) => `  ${digest}  ${part}`);
  return [head, ...rows, ''].join('\n');
}
