import type { Result } from '../case.ts';
import { jsonReport, outcomeWord, tally, type RunFacts } from './summary.ts';

/** The report in the form that the file's name asks for: `.json`, `.xml` (JUnit) or `.html`; null for other names. */
export function reportText(
  file: string,
  results: readonly Result[],
  facts: RunFacts,
  locale: 'ja' | 'en',
): string | null {
  if (file.endsWith('.json')) return `${JSON.stringify(jsonReport(results, facts), null, 2)}\n`;
  if (file.endsWith('.xml')) return junit(results, facts);
  return file.endsWith('.html') ? page(results, facts, locale) : null;
}

// An error of the suite is no statement about the target, so JUnit gets it as `error` and not as `failure`.
function junit(results: readonly Result[], { target }: RunFacts): string {
  const count = (outcome: string): number => results.filter((one) => one.outcome === outcome).length;
  const counts = `tests="${results.length}" failures="${count('fail')}" errors="${count('suite-error')}" skipped="${count('not-applicable')}"`;
  const cases = results.map((result) => {
    const { case: one, outcome, reason, findings, ms } = result;
    const told = escaped(
      [...(reason === null ? [] : [reason.en]), ...findings.map(({ text }) => text)].join('\n'),
    );
    const inside = {
      pass: '',
      fail: `<failure>${told}</failure>`,
      'not-applicable': `<skipped message="${told}"/>`,
      'suite-error': `<error>${told}</error>`,
    }[outcome];
    const name = escaped(`${one.number} ${one.title.en}`);
    return `    <testcase classname="leak-test.${one.id}" name="${name}" time="${ms / 1000}">${inside}</testcase>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n  <testsuite name="leak-test ${escaped(target)}" ${counts}>\n${cases.join('\n')}\n  </testsuite>\n</testsuites>\n`;
}

const STYLE =
  'body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}.fail,.suite-error{background:#fdd}.pass{background:#dfd}';

function page(results: readonly Result[], facts: RunFacts, locale: 'ja' | 'en'): string {
  const heads =
    locale === 'ja'
      ? ['番号', '結果', '逃げ道', 'なぜ起きるか', '試し方', '確かめ方', '版']
      : ['No.', 'Outcome', 'Way out', 'Why it is real', 'How it is tried', 'What is checked', 'Version'];
  const rows = results.map(({ case: one, outcome, reason, findings }) => {
    const told = [...(reason === null ? [] : [reason[locale]]), ...findings.map(({ text }) => text)];
    const cells = [
      String(one.number),
      [outcomeWord(outcome, locale), ...told].map(escaped).join('<br>'),
      escaped(one.title[locale]),
      `${escaped(one.why[locale])}<br><small>${escaped(one.source)}</small>`,
      escaped(one.how[locale]),
      escaped(one.check[locale]),
      one.version,
    ];
    return `<tr class="${outcome}">${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const title = escaped(`leak-test: ${facts.target}`);
  const head = heads.map((cell) => `<th>${cell}</th>`).join('');
  return `<!doctype html>\n<html lang="${locale}"><meta charset="utf-8"><title>${title}</title><style>${STYLE}</style>\n<h1>${title}</h1>\n<p>${escaped(tally(results, locale))} (sekisho ${escaped(facts.suite)})</p>\n<table><tr>${head}</tr>\n${rows.join('\n')}\n</table></html>\n`;
}

// What a gateway printed stands in findings, so nothing of it may act in a page or break a document.
function escaped(text: string): string {
  const plain = text.replaceAll(/[^\t\n\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '');
  return plain
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
