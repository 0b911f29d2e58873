import { parseArgs } from 'node:util';
import { testDrafts } from '../server/draft-tests.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy check [場所] [--config ファイル] [--json]
下書きが読め、規則が検証を通り、tests/*.yaml がすべて合うかを確かめる。サイトは要らない。
`,
  en: `usage: sekisho policy check [DIR] [--config F] [--json]
Checks that drafts load, rules validate and every test of tests/*.yaml holds. Needs no site.
`,
};

/** `sekisho policy check`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { config: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  if (positionals.length > 1) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const { folder, results } = await testDrafts(io.env, { config: values.config }, positionals[0] ?? null);
  const problems = results.flatMap(({ name, problems: found }) =>
    found.map((problem) => `${name}: ${problem}`),
  );
  const good = problems.length === 0;
  if (values.json) io.out(`${JSON.stringify({ folder, good, tests: results.length, problems })}\n`);
  else if (good)
    io.out(
      say(io, {
        ja: `${folder}: 使える。テスト ${results.length} 件\n`,
        en: `${folder}: usable, ${results.length} tests hold\n`,
      }),
    );
  else for (const problem of problems) io.out(`${problem}\n`);
  return good ? OK : FAILED;
}
