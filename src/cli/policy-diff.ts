import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { compareBundles, type PartChange } from '../server/bundle-desk.ts';
import { OK, say, USAGE, type Io, type Text } from './io.ts';
import { runningText } from './policy-site.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy diff バンドルA バンドルB [--json]
二つのバンドルの違いを部分ごとに示す。running はサイトで動いているもの。
`,
  en: `usage: sekisho policy diff A B [--json]
Shows what differs between two bundles, part by part. The name running means what the site runs.
`,
};

const SIGN = { added: '+', removed: '-', changed: '~' } as const;

/** `sekisho policy diff`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  const [before, after] = positionals;
  if (before === undefined || after === undefined || positionals.length > 2) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const changes = compareBundles(await textOf(before, io), await textOf(after, io));
  if (values.json) io.out(`${JSON.stringify({ changes })}\n`);
  else if (changes.length === 0) io.out(say(io, { ja: '違いはない\n', en: 'nothing differs\n' }));
  else for (const change of changes) io.out(lineOf(change));
  return OK;
}

async function textOf(name: string, io: Io): Promise<string> {
  return name === 'running' ? runningText(io) : readFile(name, 'utf8');
}

function lineOf({ part, change, inside }: PartChange): string {
  return `${SIGN[change]} ${part}${inside.length === 0 ? '' : `: ${inside.join(' ')}`}\n`;
}
