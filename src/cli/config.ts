import { parseArgs } from 'node:util';
import { redactedConfig } from '../core/config.ts';
import { resolveConfig } from '../server/start.ts';
import { OK, say, USAGE, type Io } from './io.ts';

export const CONFIG_HELP = {
  ja: '使い方: sekisho config check [--config ファイル] [--data 場所]\n実際に効く設定を、秘密を伏せて表示する。\n',
  en: 'usage: sekisho config check [--config F] [--data DIR]\nShows the effective configuration, secrets redacted.\n',
};

/** `sekisho config check`: reads the configuration as `up` would, and shows it. */
export async function configCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length !== 1 || positionals[0] !== 'check') {
    io.err(say(io, CONFIG_HELP));
    return USAGE;
  }
  const { config, dataDir } = resolveConfig(io.env, { config: values.config, data: values.data });
  const shown = { ...redactedConfig(config), data: dataDir };
  io.out(`${JSON.stringify(shown, null, values.json ? 0 : 2)}\n`);
  return OK;
}
