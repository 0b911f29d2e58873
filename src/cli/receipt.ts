import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { connectSite, refusalOf } from '../server/site-api.ts';
import { misuse, OK, say, USAGE, type Io } from './io.ts';

export const RECEIPT_HELP = {
  ja: '使い方: sekisho receipt ID [--out ファイル] [--wait 秒]\n受領証を取り出す。\n',
  en: 'usage: sekisho receipt ID [--out F] [--wait SECONDS]\nFetches a receipt.\n',
};

/** Seconds; what the site allows. */
const MAX_WAIT = 60;

/** `sekisho receipt ID`: the receipt as JSON, to a file or standard output. */
export async function receiptCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string', short: 'o' },
      wait: { type: 'string', default: '10' },
      json: { type: 'boolean', default: false },
    },
  });
  const [id] = positionals;
  if (id === undefined || positionals.length > 1) {
    io.err(say(io, RECEIPT_HELP));
    return USAGE;
  }
  if (!/^\d{1,2}$/.test(values.wait) || Number(values.wait) > MAX_WAIT) {
    return misuse(io, {
      ja: `--wait: 0 から ${MAX_WAIT} までの秒数を`,
      en: `--wait: expected seconds from 0 to ${MAX_WAIT}`,
    });
  }
  await using site = await connectSite(io.env);
  const path = `/v1/receipts/${encodeURIComponent(id)}?wait=${encodeURIComponent(values.wait)}`;
  const reply = await site.send({ method: 'GET', path, signal: io.signal });
  const bytes = await reply.bytes();
  if (reply.status !== 200) throw refusalOf(reply, bytes);
  if (values.out === undefined) io.out(`${bytes.toString('utf8')}\n`);
  else await writeFile(values.out, bytes);
  return OK;
}
