import path from 'node:path';
import { parseArgs } from 'node:util';
import { Fault } from '../core/fault.ts';
import { checkLog, type LogCheck, type LogSource } from '../ledger/check.ts';
import { USAGE, type Io, type Text } from './io.ts';

export const LEDGER_HELP = {
  ja: `使い方: sekisho ledger check (フォルダ|URL) --key 検証鍵 [--checkpoint ファイル] [--json]
       sekisho ledger rotate [--reason scheduled|compromise] [--keep-key] [--config ファイル] [--data 場所] [--json]
       sekisho ledger adopt-machine [--config ファイル] [--data 場所] [--json]
check: 台帳全体をタイルと記録から導き直し、署名と照らす。正しければ 0、誤りがあれば 1、調べられなければ 2 で終わる。
  --checkpoint は示された署名を、この台帳とその前の台帳の終わりに照らす。
rotate: 止めたサイトの台帳を終え、新しい鍵で次の台帳を始める。古い秘密鍵は --keep-key がなければ上書きする。
adopt-machine: 止めたサイトがアンカーとともにこの機械に移り、他では動いていないことを告げ、台帳に記録する。
`,
  en: `usage: sekisho ledger check (DIR|URL) --key VKEY [--checkpoint FILE] [--json]
       sekisho ledger rotate [--reason scheduled|compromise] [--keep-key] [--config F] [--data DIR] [--json]
       sekisho ledger adopt-machine [--config F] [--data DIR] [--json]
check: derives the whole log anew from its entries and compares it with the signed checkpoint. Exits 0 when it is whole,
1 when it is not, 2 when it cannot be checked. --checkpoint judges a signed note that somebody shows, by this log and by
the end of the one before it.
rotate: ends the log of a stopped site and begins the next one under a new key. The old secret key is overwritten unless
--keep-key is given.
adopt-machine: says that the stopped site was moved to this machine with its anchor and goes on nowhere else; the log
records it.
`,
};

/** What the command sees of the world: `open` reads a folder or an address. */
export interface LedgerIo extends Pick<Io, 'out' | 'err'> {
  readonly env: Pick<Io['env'], 'locale' | 'logKey'>;
  open(target: string): Promise<LogSource & AsyncDisposable>;
}

/** `sekisho ledger check (DIR|URL) --key VKEY`; the key of the environment counts too. */
export async function ledgerCommand(args: readonly string[], io: LedgerIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      checkpoint: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [verb, target, ...rest] = positionals;
  const say = (text: Text): string => text[io.env.locale];
  if (values.help) {
    io.out(say(LEDGER_HELP));
    return 0;
  }
  if (verb !== 'check' || target === undefined || rest.length > 0) {
    io.err(say(LEDGER_HELP));
    return USAGE;
  }
  const key = values.key ?? io.env.logKey;
  if (key === null) {
    io.err(say({ ja: '検証鍵が要ります: --key\n', en: 'a key is required: --key VKEY\n' }));
    return USAGE;
  }
  const { exit, lines } = await check(target, { key, checkpoint: values.checkpoint ?? null }, io);
  if (values.json) io.out(`${JSON.stringify({ verdict: lines[0], exit, findings: lines.slice(1) })}\n`);
  else io.out(`${lines.join('\n')}\n`);
  return exit;
}

// A log that cannot be read has not been found wrong.
async function check(
  target: string,
  { key, checkpoint }: { readonly key: string; readonly checkpoint: string | null },
  io: LedgerIo,
): Promise<LogCheck> {
  try {
    const presented = checkpoint === null ? null : await noteIn(checkpoint, io);
    await using source = await io.open(target);
    return await checkLog(source, key, presented);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return { exit: 2, lines: ['unusable', thrown.message] };
  }
}

async function noteIn(file: string, io: LedgerIo): Promise<string> {
  await using folder = await io.open(path.dirname(file));
  const bytes = await folder.read(path.basename(file));
  if (bytes !== null) return bytes.toString('utf8');
  throw new Fault('missing', 'cli.unreadable', `there is no file ${file}`);
}
