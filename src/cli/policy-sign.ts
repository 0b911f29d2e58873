import { readFile, rename, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { describeBundle, signBundle } from '../server/bundle-desk.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy sign バンドル --signer 鍵ファイル [--json]
バンドルを確かめ、署名の行を一つ加える。読んで納得したものだけに署名すること (policy diff running バンドル)。
`,
  en: `usage: sekisho policy sign BUNDLE --signer F [--json]
Checks the bundle and adds one line of signature. Sign what you have read: policy diff running BUNDLE.
`,
};

/** `sekisho policy sign`; needs no site. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { signer: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1 || values.signer === undefined) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const signed = signBundle(await readFile(file, 'utf8'), await readFile(values.signer, 'utf8'));
  // Whole or not at all: the signatures of others are in this file.
  await writeFile(`${file}.new`, signed.text, { flag: 'wx' });
  await rename(`${file}.new`, file);
  const { version, hash } = describeBundle(signed.text);
  const { by } = signed;
  const text = {
    ja: `第 ${version} 版 ${hash} に署名した: ${by}\n`,
    en: `signed version ${version} ${hash} as ${by}\n`,
  };
  io.out(values.json ? `${JSON.stringify({ version, hash, by })}\n` : say(io, text));
  return OK;
}
