import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { systemWorld } from '../core/world.ts';
import { newSigner } from '../server/bundle-desk.ts';
import { OK, say, USAGE, type Io } from './io.ts';

export const SIGNER_HELP = {
  ja: `使い方: sekisho signer new --out ファイル [--name 名] [--json]
方針の署名者の鍵を作り、公開鍵を表示する。公開鍵は site.yaml の signers に書く。鍵ファイルは署名者だけが持つ。
`,
  en: `usage: sekisho signer new --out F [--name N] [--json]
Makes a policy signer's key and prints its public key, which goes under signers in site.yaml. The file is the signer's
alone.
`,
};

/** `sekisho signer new`; needs no site. */
export async function signerCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      name: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length !== 1 || positionals[0] !== 'new' || values.out === undefined) {
    io.err(say(io, SIGNER_HELP));
    return USAGE;
  }
  const world = systemWorld();
  const name = values.name ?? `signer-${world.random.bytes(4).toString('hex')}`;
  const { secret, vkey } = newSigner(name, world);
  // Never over another key: what it signed could not be followed any more.
  await using file = await open(values.out, 'wx', 0o600);
  await file.writeFile(secret);
  await file.sync();
  io.out(values.json ? `${JSON.stringify({ file: values.out, vkey })}\n` : `${vkey}\n`);
  return OK;
}
