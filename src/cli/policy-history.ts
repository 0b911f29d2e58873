import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { getPolicyHistory } from '../server/policy-contract.ts';
import { connectSite } from '../server/site-api.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy history [--json]
このサイトで動いたバンドルを古い順に並べる: 版、時刻、ハッシュ、署名者。
`,
  en: `usage: sekisho policy history [--json]
Lists the bundles that this site has run, oldest first: version, time, hash, signers.
`,
};

/** `2027-03-31 09:30:00`, in UTC. */
const CLOCK = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' });

type Adopted = z.output<typeof getPolicyHistory.reply>['bundles'][number];

/** `sekisho policy history`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  if (positionals.length > 0) {
    io.err(say(io, HELP));
    return USAGE;
  }
  await using site = await connectSite(io.env);
  const listed = await site.json({ method: 'GET', path: getPolicyHistory.path });
  if (values.json) io.out(`${JSON.stringify(listed)}\n`);
  else for (const one of getPolicyHistory.reply.parse(listed).bundles) io.out(rowOf(one, io));
  return OK;
}

function rowOf({ version, adopted, hash, emergency, signers }: Adopted, io: Io): string {
  const by = signers.length === 0 ? say(io, { ja: '最初の起動', en: 'first start' }) : signers.join(',');
  const mark = emergency ? `  ${say(io, { ja: '緊急停止', en: 'emergency stop' })}` : '';
  return `${version}  ${CLOCK.format(adopted)}  ${hash}  ${by}${mark}\n`;
}
