import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { MAX_DAYS, whatIfReply } from '../server/decisions/contract.ts';
import { connectSite } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy what-if バンドル [--since 日数] [--json]
記録された判定のうち、このバンドルなら変わるものを示す。何も変えない。
判定の元になった事実は 90 日分、要求ごとの行は新しいほうから約 100 万件を保つ。内容は保たない。
`,
  en: `usage: sekisho policy what-if BUNDLE [--since DAYS] [--json]
Shows which recorded decisions this bundle would change. Changes nothing.
The facts of decisions are kept for 90 days, the rows of requests up to about the latest million; content never.
`,
};

type Reply = z.output<typeof whatIfReply>;
type Group = Reply['groups'][number];

/** `sekisho policy what-if`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { since: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const [file] = positionals;
  const { since = String(MAX_DAYS) } = values;
  if (file === undefined || positionals.length > 1 || !/^[1-9]\d?$/.test(since) || Number(since) > MAX_DAYS) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const bundle = await readFile(file);
  await using site = await connectSite(io.env);
  const reply = await site.json({
    method: 'POST',
    path: `/api/v1/policy/what-if?days=${since}`,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: bundle,
    signal: io.signal,
  });
  if (values.json) io.out(`${JSON.stringify(reply)}\n`);
  else io.out(report(whatIfReply.parse(reply), io));
  return OK;
}

function report(reply: Reply, io: Io): string {
  const [changed, total] = [grouped(reply.changed), grouped(reply.decisions)];
  const lines = [
    say(io, { ja: `${total} 件中 ${changed} 件が変わる`, en: `${changed} of ${total} would change` }),
    ...reply.groups.flatMap((group) => groupLines(group, io)),
    ...remarks(reply).map((remark) => say(io, remark)),
  ];
  return `${lines.join('\n')}\n`;
}

function groupLines({ model, label, purpose, from, to, count, requests }: Group, io: Io): string[] {
  const use = purpose === null ? '' : ` ${say(io, { ja: '用途', en: 'for' })} ${purpose}`;
  return [
    `${grouped(count).padStart(9)}  ${model} ${label}${use}: ${side(from)} -> ${side(to)}`,
    ...(requests.length === 0 ? [] : [`           ${requests.join(' ')}`]),
  ];
}

function side({ effect, endpoint, rules }: Group['from']): string {
  return `${endpoint === null ? effect : `${effect}@${endpoint}`} (${rules.join(', ')})`;
}

// What the numbers above do not hold has to be said beside them.
function remarks({ missed, unexamined, inexact }: Reply): Text[] {
  const said: Text[] = [];
  if (missed > 0)
    said.push({
      ja: `このほかに、混雑などで記録されなかった判定が ${grouped(missed)} 件ある`,
      en: `${grouped(missed)} more decisions were not kept, under load or for want of space`,
    });
  if (unexamined > 0)
    said.push({
      ja: `まれな事実の組による ${grouped(unexamined)} 件は調べていない`,
      en: `${grouped(unexamined)} decisions from the rarest facts were not looked at`,
    });
  if (inexact.length > 0)
    said.push({
      ja: `個々の鍵を名指す規則は当たらないものとした: ${inexact.join(', ')}`,
      en: `rules that name a single key were taken not to match: ${inexact.join(', ')}`,
    });
  return said;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
