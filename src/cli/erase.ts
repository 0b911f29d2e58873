import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { DAY } from '../core/duration.ts';
import { systemWorld } from '../core/world.ts';
import { GROUNDS, postErasureBatch } from '../server/erasure/contract.ts';
import { connectSite, type SiteApi } from '../server/site-api.ts';
import { FAILED, misuse, OK, say, USAGE, type Io, type Text } from './io.ts';

export const ERASE_HELP: Text = {
  ja: `使い方: sekisho erase 受領証ID --ground ${GROUNDS.join('|')} [--json]
       sekisho erase [--tenant 組織ID] [--before 日付|日数d] --ground 根拠 [--dry-run] [--yes] [--json]
要求の鍵と、判断に使った事実を消去する。元には戻せない。受領証と台帳の証明は残り、その中身は誰にも開けなくなる。
--tenant は組織の要求すべて、--before は UTC のその日より前 (90d は 90 日前より前) の要求すべて。両方なら両方に当てはまるもの。
終わっていない要求は残る。端末では数を示して確かめる。端末でなければ --yes が要る。--dry-run は数えるだけ。
根拠: appi-22 利用の必要がなくなった (個人情報保護法22条)、appi-35 本人の請求 (35条)、contract 契約、order 命令。
役割 admin、または自組織の要求については owner の鍵が要る。根拠は台帳に記録される。
`,
  en: `usage: sekisho erase RECEIPT-ID --ground ${GROUNDS.join('|')} [--json]
       sekisho erase [--tenant ORG-ID] [--before DATE|DAYSd] --ground G [--dry-run] [--yes] [--json]
Destroys a request's key and the facts that its decision was made from. It cannot be undone. The receipt and all proofs
of the log stay, and nobody can open what they commit to. --tenant takes all requests of an organisation, --before all
of days before a date in UTC (90d: of days before the one 90 days ago), both those that are both. Requests that have
not ended stay. On a terminal it tells how many and asks; elsewhere it needs --yes. --dry-run only counts.
Grounds: appi-22 no longer needed (APPI article 22), appi-35 asked for by the person (article 35), contract, order. It
takes a key with the role admin, or owner for requests of the own organisation. The ground is recorded in the log.
`,
};

const OPTIONS = {
  ground: { type: 'string' },
  tenant: { type: 'string' },
  before: { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

/** `sekisho erase RID --ground G`, or of an organisation, of days, or both. */
export async function eraseCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  const [rid] = positionals;
  const { ground, tenant, before } = values;
  const isMany = tenant !== undefined || before !== undefined;
  const isKnown = GROUNDS.some((known) => known === ground);
  if ((rid === undefined) !== isMany || positionals.length > 1 || !isKnown) {
    io.err(say(io, ERASE_HELP));
    return USAGE;
  }
  if (isMany) return eraseMany({ ...values, ground, tenant, before: dateOf(before) }, io);
  await using site = await connectSite(io.env);
  const erased = await post(site, '/api/v1/erasures', { rid, ground });
  if (values.json) io.out(`${JSON.stringify(erased)}\n`);
  else io.out(say(io, { ja: `${rid} を消去した\n`, en: `${rid} is erased\n` }));
  return OK;
}

interface Many {
  readonly ground: string | undefined;
  readonly tenant: string | undefined;
  readonly before: string | undefined;
  readonly 'dry-run': boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

async function eraseMany(
  { ground, tenant, before, yes, json, 'dry-run': dry }: Many,
  io: Io,
): Promise<number> {
  const asks = process.stdin.isTTY && io.terminal && !json;
  if (!dry && !yes && !asks)
    return misuse(io, {
      ja: '端末でなければ、消去には --yes、数えるには --dry-run が要る',
      en: 'without a terminal, expected --yes to erase or --dry-run to count',
    });
  await using site = await connectSite(io.env);
  const order = { ground, tenant, before };
  const run = async (dryRun: boolean): Promise<Batch> =>
    postErasureBatch.reply.parse(await post(site, postErasureBatch.path, { ...order, dryRun }));
  if (!dry && !yes && !(await confirmed((await run(true)).requests, io))) return FAILED;
  const result = await run(dry);
  if (json) io.out(`${JSON.stringify(result)}\n`);
  else io.out(say(io, dry ? wouldBe(result) : isDone(result)));
  return OK;
}

type Batch = ReturnType<typeof postErasureBatch.reply.parse>;

function wouldBe({ requests, running }: Batch): Text {
  return {
    ja: `${requests} 件を消去することになる。終わっていない ${running} 件は残る\n`,
    en: `${requests} would be erased; ${running} that have not ended would stay\n`,
  };
}

function isDone({ requests, running, dayKeys }: Batch): Text {
  return {
    ja: `${requests} 件と日の鍵 ${dayKeys} 個を消去した。終わっていない ${running} 件は残した\n`,
    en: `${requests} erased, with ${dayKeys} day keys; ${running} that have not ended stay\n`,
  };
}

async function confirmed(requests: number, io: Io): Promise<boolean> {
  using lines = createInterface({ input: process.stdin, output: process.stderr });
  const question = say(io, {
    ja: `${requests} 件を消去する。元には戻せない。続けるには数を入力: `,
    en: `${requests} requests will be erased, for good. Type that number to go on: `,
  });
  return (await lines.question(question, { signal: io.signal })).trim() === String(requests);
}

async function post(site: SiteApi, path: string, body: unknown): Promise<unknown> {
  return site.json({
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(body)),
  });
}

// A number of days counts back from today in UTC; anything else is left to the site to judge.
function dateOf(before: string | undefined): string | undefined {
  const [, days] = /^(\d{1,5})d$/.exec(before ?? '') ?? [];
  if (days === undefined) return before;
  const t = systemWorld().clock.now() - Number(days) * DAY;
  // oxlint-disable-next-line eslint/no-restricted-globals -- writes a date and reads no clock
  return new Date(t).toISOString().slice(0, 10);
}
