import { parseArgs } from 'node:util';
import { Fault } from '../core/fault.ts';
import { drillSite, restoreSite } from '../server/backup/desk.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const RESTORE_HELP: Text = {
  ja: `使い方: sekisho restore 控え [--data 場所] [--keys フォルダ] [--config ファイル] [--json]
       sekisho restore --drill 控え [--keys フォルダ] [--sample 数] [--config ファイル] [--data 場所] [--json]
控えを、空のデータの場所に戻す。すべてのファイルを目録と照らし、台帳を導き直す。
--drill は一時の場所に戻し、台帳と受領証の標本を検証し、今の台帳と照らして、取り除く。何にも署名しない。
`,
  en: `usage: sekisho restore BACKUP [--data DIR] [--keys DIR] [--config F] [--json]
       sekisho restore --drill BACKUP [--keys DIR] [--sample N] [--config F] [--data DIR] [--json]
Puts a backup back into an empty data directory: every file as in the manifest, the log derived anew. --drill puts it into
a temporary place, verifies the log and a sample of receipts, compares it with the log of today, and removes it; it signs
nothing.
`,
};

const SAMPLE = '100';

/** `sekisho restore BACKUP`. */
export async function restoreCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      drill: { type: 'boolean', default: false },
      'new-log': { type: 'boolean', default: false },
      keys: { type: 'string' },
      sample: { type: 'string', default: SAMPLE },
      config: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [backup, ...rest] = positionals;
  const sample = Number(values.sample);
  if (backup === undefined || rest.length > 0 || !Number.isSafeInteger(sample) || sample < 1) {
    io.err(say(io, RESTORE_HELP));
    return USAGE;
  }
  if (values['new-log']) throw noNewLog();
  const { config, data, json } = values;
  const plan = { backup, keysDir: values.keys ?? null, flags: { config, data }, json };
  return values.drill ? drill(io, { ...plan, sample }) : restore(io, plan);
}

interface Plan {
  readonly backup: string;
  readonly keysDir: string | null;
  readonly flags: { readonly config: string | undefined; readonly data: string | undefined };
  readonly json: boolean;
}

async function restore(io: Io, { flags, json, ...plan }: Plan): Promise<number> {
  const { dataDir, manifest, state } = await restoreSite(io.env, flags, plan);
  if (json) io.out(`${JSON.stringify({ data: dataDir, origin: manifest.origin, size: state.size })}\n`);
  else io.out(`${dataDir}\n${manifest.origin} size=${state.size}\n`);
  return OK;
}

async function drill(io: Io, { flags, json, ...plan }: Plan & { readonly sample: number }): Promise<number> {
  const report = await drillSite(io.env, flags, plan);
  const { origin, size, receipts, opened, erased, newer } = report;
  if (json) {
    io.out(`${JSON.stringify({ drill: 'passed', ...report })}\n`);
    return OK;
  }
  io.out(`drill passed\n${origin} size=${size}\nreceipts=${receipts} opened=${opened} erased=${erased}\n`);
  for (const [name, count] of Object.entries(newer)) io.out(`${name}: ${comparison(io, count)}\n`);
  return OK;
}

function comparison(io: Io, newer: number | null): string {
  if (newer === null)
    return say(io, { ja: 'ここにはなく、比べられない', en: 'not here, nothing to compare with' });
  if (newer <= 0) return say(io, { ja: '控えと一致する', en: 'agrees with the backup' });
  return say(io, {
    ja: `控えの後に ${newer} 葉に署名した。この控えに戻したサイトは、元の台帳では起動を拒む`,
    en: `signed ${newer} leaves after the backup; a site restored from it refuses to start under this log`,
  });
}

function noNewLog(): Fault {
  const message =
    'a site restored from a backup cannot begin a new log yet: put back a backup that the anchor agrees with, or the newest copy of DATA; else move DATA away and begin anew';
  return new Fault('unavailable', 'server.no_new_log', message);
}
