import { parseArgs } from 'node:util';
import { backupSite } from '../server/backup/desk.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const BACKUP_HELP: Text = {
  ja: `使い方: sekisho backup --out フォルダ [--with-keys] [--config ファイル] [--data 場所] [--json]
動いているサイトを止めずに控えを取る。フォルダの名の下には、完全な控えがあるか、何もないかのどちらかである。
--with-keys なしでは、署名も開封もできない控えになる。DATA/keys の写しを別の場所に保管する。
`,
  en: `usage: sekisho backup --out DIR [--with-keys] [--config F] [--data DIR] [--json]
Backs up a site without stopping it. Under the folder's name stands a whole backup or nothing. Without --with-keys it can
neither sign nor open anything: keep a copy of DATA/keys in another place.
`,
};

/** `sekisho backup --out DIR`. */
export async function backupCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      'with-keys': { type: 'boolean', default: false },
      config: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { out, config, data, json } = values;
  if (out === undefined || positionals.length > 0) {
    io.err(say(io, BACKUP_HELP));
    return USAGE;
  }
  const manifest = await backupSite(io.env, { config, data }, { out, withKeys: values['with-keys'] });
  const { origin, checkpoint, withKeys, files } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (json) {
    io.out(`${JSON.stringify({ out, origin, checkpoint, withKeys, files: files.length, bytes })}\n`);
    return OK;
  }
  io.out(`${out}\n${origin} size=${checkpoint.split('\n')[1] ?? ''} files=${files.length} bytes=${bytes}\n`);
  io.err(say(io, withKeys ? WITH_KEYS : WITHOUT_KEYS));
  return OK;
}

const WITH_KEYS: Text = {
  ja: '鍵を含む。これを読む者は、署名し、要求を開封できる。消去が完了するのは、それより古い控えを廃棄した後である\n',
  en: 'it holds the keys: whoever reads it can sign and open requests. An erasure is complete when the backups before it are gone\n',
};
const WITHOUT_KEYS: Text = {
  ja: '鍵を含まない。戻すには DATA/keys の写しが要る (sekisho restore --keys)\n',
  en: 'it holds no keys: restoring needs a copy of DATA/keys (sekisho restore --keys)\n',
};
