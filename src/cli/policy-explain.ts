import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { explainReply } from '../server/decisions/contract.ts';
import { connectSite } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy explain --model 名 [--label 区分] [--purpose 用途] [--role 役割]... [--json]
       sekisho policy explain --rid 受領証ID [--json]
宛先ごとに、なぜ許可または拒否になるかと、何が変われば許可になるかを示す。
`,
  en: `usage: sekisho policy explain --model M [--label L] [--purpose P] [--role R]... [--json]
       sekisho policy explain --rid RID [--json]
Shows for each endpoint why it allows or denies, and what would make it allow.
`,
};

type Reply = z.output<typeof explainReply>;
type Endpoint = Reply['endpoints'][number];

/** `sekisho policy explain`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      label: { type: 'string' },
      purpose: { type: 'string' },
      role: { type: 'string', multiple: true },
      rid: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { model, label, purpose, role, rid, json } = values;
  const about = [model, label, purpose, role].some((value) => value !== undefined);
  if (rid === undefined ? model === undefined : about) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ model, label, purpose, rid, roles: role?.join(',') }))
    if (value !== undefined) query.set(name, value);
  await using site = await connectSite(io.env);
  const path = `/api/v1/policy/explain?${query.toString()}`;
  const reply = await site.json({ method: 'GET', path, signal: io.signal });
  if (json) io.out(`${JSON.stringify(reply)}\n`);
  else io.out(report(explainReply.parse(reply), io));
  return OK;
}

function report(reply: Reply, io: Io): string {
  const { recorded, endpoints } = reply;
  const lines = [
    ...(recorded === null ? [] : [recordedLine(recorded, reply.bundle, io)]),
    `${reply.model} ${reply.label}${reply.purpose === null ? '' : ` ${reply.purpose}`} (${reply.roles.join(', ')})`,
    ...remarks(reply).map((remark) => `  ${say(io, remark)}`),
    ...endpoints.flatMap((endpoint) => endpointLines(endpoint, io)),
  ];
  return `${lines.join('\n')}\n`;
}

function recordedLine(recorded: NonNullable<Reply['recorded']>, bundle: string, io: Io): string {
  const { rid, t, effect, endpoint } = recorded;
  const at = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' });
  const made = `${rid} ${at.format(t)}Z: ${endpoint === null ? effect : `${effect}@${endpoint}`}`;
  if (recorded.bundle === bundle) return made;
  const since: Text = {
    ja: '別のバンドルによる。以下は今のバンドルによる',
    en: 'by another bundle; below is what the running one says',
  };
  return `${made} (${say(io, since)})`;
}

function remarks({ raised, label, approval }: Reply): Text[] {
  const said: Text[] = [];
  if (raised)
    said.push({
      ja: `求めた区分は下限より低い。下限の ${label} が効き、要求は label_downgrade になる`,
      en: `the label asked for is below the floor ${label}, which holds; the request gets label_downgrade`,
    });
  if (approval !== null && !approval.given)
    said.push({
      ja: `この用途には役割 ${approval.role} の承認（${approval.hours} 時間まで）が先に要る`,
      en: `the purpose first needs an approval by the role ${approval.role}, good for ${approval.hours} hours at most`,
    });
  return said;
}

function endpointLines({ endpoint, effect, rules, reasons, ways }: Endpoint, io: Io): string[] {
  const why = reasons.map((reason) => `    ${reason.policy}: ${say(io, reason)}`);
  const head = `  ${endpoint}: ${effect}`;
  if (effect === 'allow') return [`${head} (${rules.join(', ')})`];
  const title = say(io, { ja: '    許可になる条件:', en: '    would be allowed if:' });
  const none = say(io, {
    ja: '    試した変更では許可にならない',
    en: '    no change that was tried allows it',
  });
  const and = say(io, { ja: '、かつ ', en: ', and ' });
  const options = ways.map(({ changes }) => `      - ${changes.map((change) => say(io, change)).join(and)}`);
  return [head, ...why, ...(ways.length === 0 ? [none] : [title, ...options])];
}
