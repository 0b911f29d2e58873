import { parseArgs } from 'node:util';
import { EventSplitter } from '../core/sse.ts';
import { connectSite, refusalOf, type SiteApi } from '../server/site-api.ts';
import type { SiteReply } from '../egress/site-client.ts';
import { FAILED, OK, say, USAGE, type Io } from './io.ts';
import { printable } from './printable.ts';

export const ASK_HELP = {
  ja: '使い方: sekisho ask 質問 [--model 名] [--label ラベル] [--json]\n質問を一つ送り、答えを流し、最後に受領証のIDを表示する。\n',
  en: 'usage: sekisho ask TEXT [--model M] [--label L] [--json]\nAsks one question, streams the answer, then prints the receipt id.\n',
};

/** `sekisho ask TEXT`: one question through the whole road. */
export async function askCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      model: { type: 'string', default: 'chat' },
      label: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length === 0) {
    io.err(say(io, ASK_HELP));
    return USAGE;
  }
  await using site = await connectSite(io.env);
  const asked = { text: positionals.join(' '), model: values.model, label: values.label ?? null };
  const show = values.json ? (): void => {} : (piece: string): void => io.out(piece);
  const answer = await ask(site, asked, { show, signal: io.signal });
  const { receipt, text, complete } = answer;
  if (values.json) io.out(`${JSON.stringify({ receipt, text, complete })}\n`);
  else io.out('\n');
  if (!complete) {
    io.err(say(io, { ja: '答えは途中で切れました。\n', en: 'the answer broke off before its end\n' }));
  }
  if (!values.json) io.err(`${say(io, { ja: '受領証', en: 'receipt' })} ${printable(receipt)}\n`);
  return complete ? OK : FAILED;
}

export interface Question {
  readonly text: string;
  readonly model: string;
  readonly label: string | null;
}

export interface Answer {
  readonly receipt: string;
  readonly text: string;
  /** The exact bytes sent and received, which the receipt commits to. */
  readonly request: Buffer;
  readonly response: Buffer;
  /** False when the stream did not end as a good one does. */
  readonly complete: boolean;
}

/** Asks and shows the answer piece by piece. @throws Fault `server.refused` when the site answers with an error. */
export async function ask(
  site: SiteApi,
  question: Question,
  { show, signal }: { show: (piece: string) => void; signal: AbortSignal },
): Promise<Answer> {
  const request = Buffer.from(
    JSON.stringify({
      model: question.model,
      messages: [{ role: 'user', content: question.text }],
      stream: true,
    }),
  );
  const reply = await site.send({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: {
      'content-type': 'application/json',
      ...(question.label === null ? {} : { 'sekisho-label': question.label }),
    },
    body: request,
    signal,
  });
  if (reply.status !== 200) throw refusalOf(reply, await reply.bytes());
  return { request, receipt: reply.headers['sekisho-receipt'] ?? '', ...(await readStream(reply, show)) };
}

async function readStream(
  reply: SiteReply,
  show: (piece: string) => void,
): Promise<Pick<Answer, 'text' | 'response' | 'complete'>> {
  const splitter = new EventSplitter();
  const chunks: Buffer[] = [];
  let text = '';
  let complete = false;
  try {
    for await (const chunk of reply.body) {
      chunks.push(chunk);
      for (const { data } of splitter.push(chunk) ?? []) {
        if (data === '[DONE]') complete = true;
        const piece = data === null || complete ? '' : deltaOf(data);
        text += piece;
        if (piece !== '') show(piece);
      }
    }
  } catch {
    // The connection was cut. What came is in the log under the receipt's id, which the asker must still learn.
    complete = false;
  }
  return { text, response: Buffer.concat(chunks), complete };
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
}

function deltaOf(data: string): string {
  // The site validated every event that it passed on; a member that is missing reads as nothing.
  const chunk = JSON.parse(data) as Chunk;
  return chunk.choices?.[0]?.delta?.content ?? '';
}
