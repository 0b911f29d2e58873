import { providerProblem } from '../server/provider-draft.ts';
import { say, type Io } from './io.ts';
import { questionsFor, valueOf, type Question } from './provider-questions.ts';

/** By flag, as text. */
export type Answers = ReadonlyMap<string, string>;

/** Puts a question and gives what was typed. */
export type Asker = (prompt: string) => Promise<string>;

/** Valid in every fact, so that a problem is that of the one answer put into it. */
const SAMPLE = {
  top: {
    id: 'sample',
    kind: 'openai',
    url: 'https://sample.example/v1',
    models: { model: { accepts: 'c1' } },
  },
  residency: { operator: 'sample', posture: 'public', issued: '1970-01-01', expires: '9999-12-30' },
  network: {
    hosts: ['sample.example'],
    addresses: ['203.0.113.0/24'],
    issuer: `sha256:${'0'.repeat(64)}`,
  },
};

/**
 * Asks for everything that was not given, each fact in one line, and again where the answer cannot be used. What was
 * given is not asked for.
 */
export async function askAll(
  start: { readonly id: string; readonly given: Answers },
  ask: Asker,
  io: Pick<Io, 'env' | 'err'>,
): Promise<Answers> {
  const answers = new Map(start.given);
  io.err(say(io, INTRODUCTION));
  for (const question of questionsFor(undefined)) {
    const asked = questionsFor(answers.get('kind')).includes(question);
    if (!asked || answers.has(question.flag) || !applies(question, answers)) continue;
    answers.set(question.flag, await askOne(question, { answers, ask, io }));
  }
  return answers;
}

const INTRODUCTION = {
  ja: '分からない事実は unknown（または空のまま Enter）。分からないことは機密性2以上では拒否になる。\n',
  en: 'A fact that is not known is unknown (or just Enter); what is unknown denies above c1.\n',
};

async function askOne(
  question: Question,
  { answers, ask, io }: { answers: Answers; ask: Asker; io: Pick<Io, 'env' | 'err'> },
): Promise<string> {
  const offered = offer(question, answers);
  for (;;) {
    const shown = offered === null ? '' : ` [${offered}]`;
    const typed = (await ask(`${say(io, question.ask)}${shown}: `)).trim();
    const answer = typed === '' && offered !== null ? offered : typed;
    const problem = problemWith(question, answer, answers);
    if (problem === null) return answer;
    io.err(`  ${problem === '' ? say(io, { ja: '必要です', en: 'this is needed' }) : problem}\n`);
  }
}

/** What Enter alone stands for, or null. */
function offer({ flag, need }: Question, answers: Answers): string | null {
  if (flag === 'kind') return 'openai';
  if (flag === 'host') return hostOf(answers.get('url') ?? '');
  return need === 'fact' ? 'unknown' : null;
}

function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null;
}

// An issuer is asked for where there are no pins, and neither where plain http has no certificate.
function applies({ flag }: Question, answers: Answers): boolean {
  const plain = answers.get('url')?.startsWith('http:') === true;
  if (flag === 'pin') return !plain && !answers.has('issuer');
  return flag !== 'issuer' || (!plain && (answers.get('pin') ?? '') === '');
}

function problemWith(question: Question, answer: string, answers: Answers): string | null {
  const value = valueOf(question, answer);
  // Where an issuer is asked for there are no pins, and one of the two is needed.
  const needed = question.need === 'needed' || question.flag === 'issuer';
  if (value === undefined) return needed ? '' : null;
  const { top, residency, network } = SAMPLE;
  if (question.flag === 'kind' && value === 'llama') return null;
  if (question.at.length === 1) {
    const [name] = question.at;
    if (name === 'url') return problemWithUrl(answer.trim());
    return providerProblem({ ...top, [name]: value, residency, network });
  }
  const [group, name] = question.at;
  if (group === 'residency')
    return providerProblem({
      ...top,
      residency: { ...residency, ...dated(question, answers), [name]: value },
      network,
    });
  if (name === 'addresses' || name === 'hosts')
    return problemWithUrl(answers.get('url') ?? '', { [name]: value });
  const { issuer: _, ...unpinned } = network;
  return providerProblem({
    ...top,
    residency,
    network: { ...unpinned, ...(name === 'proxy' ? network : {}), [name]: value },
  });
}

// The end of a record is judged beside its beginning.
function dated({ flag }: Question, answers: Answers): { issued?: string } {
  const issued = answers.get('issued');
  return flag === 'expires' && issued !== undefined ? { issued } : {};
}

// A url is judged together with a network that suits it: its own host, and loopback for plain http.
function problemWithUrl(url: string, network: object = {}): string | null {
  const { top, residency } = SAMPLE;
  const plain = url.startsWith('http:');
  const suiting = plain ? { addresses: ['127.0.0.0/8'] } : SAMPLE.network;
  const hosts = [hostOf(url) ?? ''];
  return providerProblem({ ...top, url, residency, network: { ...suiting, hosts, ...network } });
}
