import { parseArgs } from 'node:util';
import { GROUNDS } from '../server/erasure/contract.ts';
import { connectSite } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const ERASE_HELP: Text = {
  ja: `使い方: sekisho erase 受領証ID --ground ${GROUNDS.join('|')} [--json]
要求の鍵と、判断に使った事実を消去する。元には戻せない。受領証と台帳の証明は残り、その中身は誰にも開けなくなる。
根拠: appi-22 利用の必要がなくなった (個人情報保護法22条)、appi-35 本人の請求 (35条)、contract 契約、order 命令。
役割 admin、または自組織の要求については owner の鍵が要る。根拠は台帳に記録される。
`,
  en: `usage: sekisho erase RECEIPT-ID --ground ${GROUNDS.join('|')} [--json]
Destroys a request's key and the facts that its decision was made from. It cannot be undone. The receipt and all proofs
of the log stay, and nobody can open what they commit to. Grounds: appi-22 no longer needed (APPI article 22), appi-35
asked for by the person (article 35), contract, order. It takes a key with the role admin, or owner for requests of the
own organisation. The ground is recorded in the log.
`,
};

/** `sekisho erase RID --ground G`. */
export async function eraseCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ground: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const [rid] = positionals;
  const { ground } = values;
  if (rid === undefined || positionals.length > 1 || !GROUNDS.some((known) => known === ground)) {
    io.err(say(io, ERASE_HELP));
    return USAGE;
  }
  await using site = await connectSite(io.env);
  const erased = await site.json({
    method: 'POST',
    path: '/api/v1/erasures',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ rid, ground })),
  });
  if (values.json) io.out(`${JSON.stringify(erased)}\n`);
  else io.out(say(io, { ja: `${rid} を消去した\n`, en: `${rid} is erased\n` }));
  return OK;
}
