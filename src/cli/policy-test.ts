import { parseArgs } from 'node:util';
import { testDrafts } from '../server/draft-tests.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy test [場所] [--config ファイル] [--json]
下書きの tests/*.yaml を実行する。サイトは要らない。合わないものがあれば 1 で終わる。
`,
  en: `usage: sekisho policy test [DIR] [--config F] [--json]
Runs the tests/*.yaml of drafts; needs no site. Exits 1 when one does not hold.
`,
};

/** `sekisho policy test`. */
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
  const flags = { config: values.config, data: undefined };
  const { folder, results } = await testDrafts(io.env, flags, positionals[0] ?? null);
  const failed = results.filter(({ problems }) => problems.length > 0).length;
  if (values.json)
    io.out(`${JSON.stringify({ folder, passed: results.length - failed, failed, results })}\n`);
  else {
    for (const { name, problems } of results) {
      io.out(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}\n`);
      for (const problem of problems) io.out(`     ${problem}\n`);
    }
    io.out(say(io, summary(results.length - failed, failed)));
  }
  return failed === 0 ? OK : FAILED;
}

function summary(passed: number, failed: number): Text {
  if (passed + failed === 0)
    return { ja: 'テストがない（tests/*.yaml に書く）\n', en: 'no tests: write them in tests/*.yaml\n' };
  return { ja: `合格 ${passed}、不合格 ${failed}\n`, en: `${passed} held, ${failed} did not\n` };
}
