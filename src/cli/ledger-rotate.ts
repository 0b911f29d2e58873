import { parseArgs } from 'node:util';
import { ROTATION_REASONS, rotateSite } from '../server/rotate.ts';
import { OK, say, USAGE, type Io } from './io.ts';
import { LEDGER_HELP } from './ledger.ts';

/** `sekisho ledger rotate [--reason scheduled|compromise] [--keep-key]` on a stopped site. */
export async function rotateCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      reason: { type: 'string', default: 'scheduled' },
      'keep-key': { type: 'boolean', default: false },
      config: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const reason = ROTATION_REASONS.find((known) => known === values.reason);
  if (reason === undefined || positionals.length > 0) {
    io.err(say(io, LEDGER_HELP));
    return USAGE;
  }
  const { config, data, json } = values;
  const { ended, began, kept } = await rotateSite(
    io.env,
    { config, data },
    { reason, keepKey: values['keep-key'] },
  );
  if (json) {
    io.out(`${JSON.stringify({ reason, ended, began, kept })}\n`);
    return OK;
  }
  io.out(`ended ${ended.origin}\nbegan ${began.origin}\n${began.vkey}\n`);
  const size = ended.checkpoint.split('\n')[1] ?? '';
  const secret =
    kept === null
      ? { ja: 'その秘密鍵は上書きした', en: 'its secret key is overwritten' }
      : { ja: `その秘密鍵: ${kept}`, en: `its secret key is in ${kept}` };
  const text = {
    ja: `前の台帳は ${size} 葉で終わった。${secret.ja}。新しい検証鍵を、受領証を検証する人々へ、信頼できる経路で伝える
`,
    en: `the log before ended with ${size} leaves; ${secret.en}. Tell those who verify receipts the new key, by a way that they trust
`,
  };
  io.err(say(io, text));
  return OK;
}
