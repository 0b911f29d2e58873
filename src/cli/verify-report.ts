import type { AttemptFacts, DecisionFacts, OutcomeFacts, Verdict } from '../ledger/verify/index.ts';
import { printable } from './printable.ts';

/** One file with what `verify` says of it. */
export interface Report extends Verdict {
  readonly file: string;
}

/** The reports as people read them: the verdict on the first line, then level and state or the reasons. */
export function textReport(reports: readonly Report[]): string {
  const [only] = reports;
  const lines =
    reports.length === 1 && only !== undefined
      ? [verdictWord(only), ...bodyLines(only)]
      : [overallWord(reports), ...reports.flatMap(fileLines)];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

/** What is said on standard error of a file that cannot be used. */
export function troubleReport({ file, reasons }: Report): string {
  return reasons.map((reason) => `${printable(`sekisho verify: ${file}: ${reason}`)}\n`).join('');
}

/** One JSON object a line, without characters that a terminal would obey. */
export function jsonReport(reports: readonly Report[]): string {
  return reports.map((report) => `${printable(JSON.stringify(report))}\n`).join('');
}

function fileLines(report: Report): readonly string[] {
  return [`${report.file}: ${verdictWord(report)}`, ...bodyLines(report).map((line) => `  ${line}`)];
}

// The first line has three words; what cannot be used cannot be compared either.
function verdictWord({ verdict }: Report): string {
  return verdict === 'unusable' ? 'not comparable' : verdict;
}

function overallWord(reports: readonly Report[]): string {
  const worst =
    reports.find(({ exit }) => exit === 1) ?? reports.find(({ exit }) => exit === 2) ?? reports[0];
  return worst === undefined ? 'not comparable' : verdictWord(worst);
}

function bodyLines({ level, state, reasons, verdict, summary }: Report): readonly string[] {
  const computed = level === null || state === null ? [] : [`level=${level} state=${state}`];
  const shown = verdict === 'valid' ? (summary?.attempts ?? []).flatMap(attemptLines) : [];
  return [...computed, ...reasons, ...shown];
}

function attemptLines({ decision, outcome }: AttemptFacts, at: number): readonly string[] {
  const lines = decision === null ? [] : [`attempt ${at + 1} decision ${decisionLine(decision)}`];
  return outcome === null ? lines : [...lines, `attempt ${at + 1} outcome ${outcomeLine(outcome)}`];
}

function decisionLine(facts: DecisionFacts): string {
  const declared = [
    facts.operator,
    facts.country,
    facts.posture,
    facts.selfDeclared ? 'self-declared' : null,
  ];
  return fields([
    [null, facts.effect],
    ['leaf', facts.index],
    ['t', facts.t],
    ['model', facts.model],
    ['conf', facts.conf],
    ['to', facts.endpoint],
    ['declared', declared.filter((fact) => fact !== null).join(',') || null],
  ]);
}

function outcomeLine(facts: OutcomeFacts): string {
  return fields([
    [null, facts.status],
    ['leaf', facts.index],
    ['t', facts.t],
    ['code', facts.code],
    ['http', facts.http],
    ['spki', facts.spki],
  ]);
}

function fields(pairs: readonly (readonly [name: string | null, value: string | number | null])[]): string {
  return pairs
    .filter(([, value]) => value !== null)
    .map(([name, value]) => (name === null ? plain(value) : `${name}=${plain(value)}`))
    .join(' ');
}

// A text with a space or an equals sign in it could pass for further fields.
function plain(value: string | number | null): string {
  return typeof value !== 'string' || /^[\w./:@+,-]+$/.test(value) ? String(value) : JSON.stringify(value);
}
