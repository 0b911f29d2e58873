import type { Outcome, Result } from '../case.ts';
import type { Text } from '../types.ts';

/** What a run was of, and when. */
export interface RunFacts {
  readonly target: string;
  readonly suite: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export const OUTCOMES: readonly Outcome[] = ['pass', 'fail', 'not-applicable', 'suite-error'];

const WORDS: Readonly<Record<Outcome, Text>> = {
  pass: { ja: '合格', en: 'pass' },
  fail: { ja: '不合格', en: 'FAIL' },
  'not-applicable': { ja: '対象外', en: 'not applicable' },
  'suite-error': { ja: '試験の不具合', en: 'SUITE ERROR' },
};

export function outcomeWord(outcome: Outcome, locale: 'ja' | 'en'): string {
  return WORDS[outcome][locale];
}

/** A line of the terminal's table, and below it what was found or why it does not apply. */
export function resultLines(result: Result, locale: 'ja' | 'en'): string {
  const { case: one, outcome, reason, findings, ms } = result;
  const time = outcome === 'not-applicable' ? '' : `${(ms / 1000).toFixed(1)} s`;
  const head = `${String(one.number).padStart(2)}  ${outcomeWord(outcome, locale).padEnd(14)} ${time.padStart(7)}  ${one.title[locale]}`;
  const told = [...(reason === null ? [] : [reason[locale]]), ...findings.map(({ text }) => text)];
  return [head, ...told.map((line) => `      ${line}`)].join('\n');
}

/** `19 pass, 0 fail, 3 not applicable, 0 suite error` */
export function tally(results: readonly Result[], locale: 'ja' | 'en'): string {
  return OUTCOMES.map((outcome) => {
    const count = results.filter((one) => one.outcome === outcome).length;
    return locale === 'ja'
      ? `${outcomeWord(outcome, locale)} ${count}`
      : `${count} ${outcome.replace('-', ' ')}`;
  }).join(locale === 'ja' ? '、' : ', ');
}

/** The report as data; the other forms are made of the same. */
export function jsonReport(results: readonly Result[], facts: RunFacts): object {
  return {
    v: 1,
    ...facts,
    results: results.map(({ case: one, outcome, reason, findings, attempts, ms }) => ({
      id: one.id,
      number: one.number,
      version: one.version,
      title: one.title,
      outcome,
      reason,
      findings,
      attempts,
      ms,
    })),
  };
}
