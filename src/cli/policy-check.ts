import { parseArgs } from 'node:util';
import { checkDraftsFormally, testDrafts } from '../server/draft-tests.ts';
import { FAILED, OK, say, USAGE, type Io, type Text } from './io.ts';

export const HELP: Text = {
  ja: `使い方: sekisho policy check [場所] [--formal] [--config ファイル] [--json]
下書きが読め、規則が検証を通り、tests/*.yaml がすべて合うかを確かめる。サイトは要らない。
--formal は、機密性2以上が国内と確認できない場所へ許可される事実の組み合わせがないかも調べる。
`,
  en: `usage: sekisho policy check [DIR] [--formal] [--config F] [--json]
Checks that drafts load, rules validate and every test of tests/*.yaml holds. Needs no site.
--formal also looks for any combination of facts that lets c2 or above go where it is not known to stay inside.
`,
};

/** `sekisho policy check`. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      formal: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) {
    io.err(say(io, HELP));
    return USAGE;
  }
  const named = positionals[0] ?? null;
  const { folder, results } = await testDrafts(io.env, { config: values.config }, named);
  const formal = values.formal ? await checkDraftsFormally(io.env, { config: values.config }, named) : null;
  const problems = results.flatMap(({ name, problems: found }) =>
    found.map((problem) => `${name}: ${problem}`),
  );
  const good = problems.length === 0 && (formal === null || formal.result === 'holds');
  if (values.json) {
    const shown = formal === null ? {} : { formal: { ...formal, combinations: String(formal.combinations) } };
    io.out(`${JSON.stringify({ folder, good, tests: results.length, problems, ...shown })}\n`);
    return good ? OK : FAILED;
  }
  if (formal !== null) io.out(formalText(formal, io));
  if (problems.length === 0)
    io.out(
      say(io, {
        ja: `${folder}: 使える。テスト ${results.length} 件\n`,
        en: `${folder}: usable, ${results.length} tests hold\n`,
      }),
    );
  else for (const problem of problems) io.out(`${problem}\n`);
  return good ? OK : FAILED;
}

type Report = Awaited<ReturnType<typeof checkDraftsFormally>>;

function formalText({ result, combinations, evaluations, violations, assumed }: Report, io: Io): string {
  const looked = say(io, {
    ja: `形式的な検査: ${combinations} 通りの組み合わせ、Cedar への問い ${evaluations} 回`,
    en: `formal check: ${combinations} combinations by ${evaluations} questions to Cedar`,
  });
  const verdict = say(io, VERDICTS[result]);
  const found = violations.map(
    ({ because, permit, facts }) => `  ${because} (${permit}): ${JSON.stringify(facts)}\n`,
  );
  const unread = assumed.map(({ policy, problem }) => `  ? ${policy}: ${problem}\n`);
  return [`${looked}: ${verdict}\n`, ...found, ...unread].join('');
}

const VERDICTS: Readonly<Record<Report['result'], Text>> = {
  holds: {
    ja: '機密性2以上が国内と確認できない場所へ出ることはない',
    en: 'nothing above c1 goes where it is not known to stay inside',
  },
  violated: { ja: '出る組み合わせがある', en: 'these let data above c1 go abroad or to places unknown' },
  undecided: { ja: '調べきれない', en: 'undecided, the search is too long' },
};
