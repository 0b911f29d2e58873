import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { Fault } from '../core/fault.ts';
import { evidenceDigest, writeProviderDraft } from '../server/provider-draft.ts';
import { resolveConfig } from '../server/start.ts';
import { FAILED, OK, say, USAGE, type Io } from './io.ts';
import { askAll, type Answers, type Asker } from './provider-dialog.ts';
import { questionsFor, valueOf, type Question } from './provider-questions.ts';

export const PROVIDER_HELP = {
  ja: `使い方: sekisho provider add ID [--governance 場所] [--config ファイル] [--json]
         --kind openai --url URL [--secret 名] --model 名=c2...
         --operator 名 --nationality JP --inference JP --storage JP --logs JP --support JP --key-custody JP
         --retention-days 0 --sku standard --training no --abuse-review no --posture public
         [--certification ISMAP]... [--evidence ISMAP=ファイル@2027-03-31]...
         --legal-basis domestic --contract negotiated --issued 2026-12-01 --expires 2027-03-31
         --host ホスト... --address 範囲... [--pin sha256:…]... [--issuer sha256:…] [--proxy URL]
提供者の下書きを governance/providers/ID.yaml に書く。署名も適用もしない。端末では、足りないものを順に尋ねる。
分からない事実は unknown とするか省く。機密性2以上では拒否される。
`,
  en: `usage: sekisho provider add ID [--governance DIR] [--config F] [--json]
         --kind openai --url URL [--secret NAME] --model NAME=c2...
         --operator NAME --nationality JP --inference JP --storage JP --logs JP --support JP --key-custody JP
         --retention-days 0 --sku standard --training no --abuse-review no --posture public
         [--certification ISMAP]... [--evidence ISMAP=FILE@2027-03-31]...
         --legal-basis domestic --contract negotiated --issued 2026-12-01 --expires 2027-03-31
         --host HOST... --address PREFIX... [--pin sha256:…]... [--issuer sha256:…] [--proxy URL]
Writes the draft of a provider to governance/providers/ID.yaml; signs and applies nothing. On a terminal it asks for
what is missing. A fact that is not known is unknown, or left out, and denies above c1.
`,
};

const ALL = questionsFor(undefined);
const OWN = ['governance', 'config', 'evidence', 'json'] as const;

/** `sekisho provider add`. */
export async function providerCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...Object.fromEntries(ALL.map(({ flag }) => [flag, { type: 'string' as const, multiple: true }])),
      governance: { type: 'string' },
      config: { type: 'string' },
      evidence: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  });
  const [act, id] = positionals;
  if (act !== 'add' || id === undefined || positionals.length !== 2) {
    io.err(say(io, PROVIDER_HELP));
    return USAGE;
  }
  const given = answersOf(values);
  const interactive = process.stdin.isTTY && io.terminal;
  const answers = interactive ? await askOnTerminal(id, given, io) : given;
  if (answers === null) return FAILED;
  const missing = missingFlags(answers);
  if (missing.length > 0) {
    const what = say(io, { ja: '足りないもの', en: 'missing' });
    io.err(`sekisho: ${what}: ${missing.map((flag) => `--${flag}`).join(' ')}\n`);
    return USAGE;
  }
  const draft = await draftOf(id, answers, values.evidence);
  const governance = values.governance ?? resolveConfig(io.env, { config: values.config }).config.governance;
  const file = await writeProviderDraft(governance ?? 'governance', draft);
  if (values.json) io.out(`${JSON.stringify({ file, provider: draft })}\n`);
  else io.out(`${file}\n`);
  io.err(say(io, NEXT));
  return OK;
}

const NEXT = {
  ja: '下書きを書いた。効くのは policy check、build、sign、apply の後\n',
  en: 'the draft is written; it takes effect after policy check, build, sign and apply\n',
};

function answersOf(values: Readonly<Record<string, unknown>>): Answers {
  const answers = new Map<string, string>();
  for (const [flag, value] of Object.entries(values))
    if (Array.isArray(value) && !OWN.some((name) => name === flag)) answers.set(flag, value.join(','));
  return answers;
}

function missingFlags(answers: Answers): readonly string[] {
  return questionsFor(answers.get('kind'))
    .filter((question) => question.need === 'needed' && answerTo(question, answers) === undefined)
    .map(({ flag }) => flag);
}

function answerTo(question: Question, answers: Answers): unknown {
  return valueOf(question, answers.get(question.flag) ?? '');
}

/** The draft as a person would write it: unknown facts by name, options that were not taken left out. */
async function draftOf(id: string, answers: Answers, evidence: readonly string[]): Promise<unknown> {
  const parts: Record<string, Record<string, unknown>> = { top: { id }, residency: {}, network: {} };
  for (const question of questionsFor(answers.get('kind'))) {
    const [group, name] = question.at.length === 2 ? question.at : (['top', question.at[0]] as const);
    const value = answerTo(question, answers);
    const part = parts[group];
    if (part !== undefined && value !== undefined) part[name] = value;
  }
  const { top, residency, network } = parts;
  const documents = await Promise.all(evidence.map(documentOf));
  if (answers.get('kind') === 'llama') return top;
  return { ...top, residency: { ...residency, evidence: documents }, network };
}

async function documentOf(text: string): Promise<{ document: string; digest: string; expires: string }> {
  const { document, file, expires } =
    /^(?<document>[^=]+)=(?<file>.+)@(?<expires>[^@]+)$/.exec(text)?.groups ?? {};
  if (document === undefined || file === undefined || expires === undefined)
    throw new Fault('invalid', 'cli.evidence', `--evidence: expected NAME=FILE@DATE, found "${text}"`);
  return { document, digest: await evidenceDigest(file), expires };
}

async function askOnTerminal(id: string, given: Answers, io: Io): Promise<Answers | null> {
  using lines = createInterface({ input: process.stdin, output: process.stderr });
  // Lines that are pasted come ahead of their questions; the iterator keeps them.
  const typed = lines[Symbol.asyncIterator]();
  const leave = (): void => lines.close();
  lines.on('SIGINT', leave);
  io.signal.addEventListener('abort', leave);
  let left = false;
  const ask: Asker = async (prompt) => {
    lines.setPrompt(prompt);
    lines.prompt();
    const next = await typed.next();
    left = next.done === true;
    if (next.done === true) throw new Fault('invalid', 'cli.left', 'the dialog was left');
    return next.value;
  };
  try {
    return await askAll({ id, given }, ask, io);
  } catch (thrown) {
    if (!left) throw thrown;
    io.err(
      `\nsekisho: ${say(io, { ja: '中止した。何も書いていない', en: 'stopped; nothing was written' })}\n`,
    );
    return null;
  }
}
