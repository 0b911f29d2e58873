import { fork, type ChildProcess } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { Pool, type Dispatcher } from 'undici';
import type { Site } from './site.ts';

/** How one request of a soak came out for its client. */
export type End =
  | 'whole'
  | 'refused'
  /** A stream that says it failed: it ends without its terminal event. */
  | 'failed'
  /** The connection was cut. */
  | 'broken'
  | 'left';

export interface Soak {
  readonly ends: Readonly<Record<End, number>>;
  /** Of every request whose client saw a receipt id, the kind of request by that id. */
  readonly acknowledged: ReadonlyMap<string, string>;
  /** What came out otherwise than its kind may, at most a few. */
  readonly surprises: readonly string[];
}

interface Kind {
  /** What the prompt asks the provider to do. */
  readonly provider: string;
  readonly stream: boolean;
  /** The client goes at the first byte, or after a moment where none comes. */
  readonly leaves: boolean;
  readonly may: readonly End[];
}

/** Requests at once. */
export const CONCURRENCY = 48;
const DONE = 'data: [DONE]\n\n';
const LEAVE_MS = 20;
const SURPRISES = 20;
/** One in so many requests is not an ordinary one; each odd kind comes in its turn. */
const ODD_EVERY = 10;
const PLAIN: Kind = { provider: 'answer', stream: false, leaves: false, may: ['whole'] };
const STREAM: Kind = { ...PLAIN, stream: true };
const ODD: readonly Kind[] = [
  { provider: 'drip', stream: true, leaves: true, may: ['left'] },
  { provider: 'silence', stream: false, leaves: true, may: ['left'] },
  { provider: 'half-stream', stream: true, leaves: false, may: ['failed'] },
  { provider: 'no-done', stream: true, leaves: false, may: ['failed'] },
  { provider: 'error-event', stream: true, leaves: false, may: ['failed'] },
  { provider: 'garbage-stream', stream: true, leaves: false, may: ['failed'] },
  ...[
    '500',
    '429',
    '401',
    'garbage',
    'wrong-shape',
    'half-json',
    'short-body',
    'close-before-head',
    'not-http',
  ].map((provider): Kind => ({ provider, stream: false, leaves: false, may: ['refused'] })),
];

/** Sends `count` requests, plain and streamed in turn, a tenth of them with a fault or a client that leaves. */
export async function soak(
  site: Pick<Site, 'url' | 'adminKey'>,
  count: number,
  done: (requests: number) => void,
): Promise<Soak> {
  const ends = { whole: 0, refused: 0, failed: 0, broken: 0, left: 0 };
  const acknowledged = new Map<string, string>();
  const surprises: string[] = [];
  const pool = new Pool(site.url, { connections: null });
  let [begun, ended] = [0, 0];
  const worker = async (): Promise<void> => {
    while (begun < count) {
      const kind = kindOf(begun++);
      const { end, rid, said } = await ask(pool, requestOf(site.adminKey, kind), kind);
      ends[end] += 1;
      if (rid !== null) acknowledged.set(rid, kind.provider);
      if (!kind.may.includes(end) && surprises.length < SURPRISES)
        surprises.push(`${kind.provider}${kind.stream ? ' streamed' : ''} came out ${end}: ${said}`);
      done(++ended);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  await pool.close();
  return { ends, acknowledged, surprises };
}

/** A provider in a process of its own. */
export async function startSoakProvider(): Promise<{ readonly url: string } & Disposable> {
  const child = fork(new URL('./soak-provider.ts', import.meta.url));
  const port = await firstMessage(child);
  return { url: `http://127.0.0.1:${String(port)}`, [Symbol.dispose]: () => void child.kill() };
}

/** Open files of a process, sockets apart; Linux only. */
export function openFiles(pid: number): { readonly sockets: number; readonly others: number } {
  const folder = `/proc/${pid}/fd`;
  let [sockets, others] = [0, 0];
  for (const fd of readdirSync(folder)) {
    if (linkOf(`${folder}/${fd}`).startsWith('socket:')) sockets += 1;
    else others += 1;
  }
  return { sockets, others };
}

// Between listing and reading a file may have been closed.
function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

function kindOf(number: number): Kind {
  if (number % ODD_EVERY === 0) return ODD[(number / ODD_EVERY) % ODD.length] ?? PLAIN;
  return number % 2 === 0 ? PLAIN : STREAM;
}

function requestOf(key: string, { provider, stream }: Kind): Dispatcher.DispatchOptions {
  const messages = [{ role: 'user', content: `please soak:${provider} once` }];
  return {
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'chat', messages, stream }),
  };
}

interface Answer {
  readonly end: End;
  readonly rid: string | null;
  readonly said: string;
}

function ask(pool: Pool, request: Dispatcher.DispatchOptions, kind: Kind): Promise<Answer> {
  return new Promise((resolve) => {
    let rid: string | null = null;
    let status = 0;
    let said = '';
    let gone = false;
    let controller: Dispatcher.DispatchController | null = null;
    const leave = (): void => {
      gone = true;
      controller?.abort(new Error('left'));
    };
    pool.dispatch(request, {
      onRequestStart(own) {
        controller = own;
        if (kind.leaves && !kind.stream) setTimeout(leave, LEAVE_MS);
      },
      onResponseStart(_, code, headers) {
        status = code;
        const named = headers['sekisho-receipt'];
        if (typeof named === 'string') rid = named;
      },
      onResponseData(_, piece) {
        said = piece.toString().slice(-200);
        if (kind.leaves && !gone) leave();
      },
      onResponseEnd() {
        const whole = !kind.stream || said.endsWith(DONE);
        resolve({ end: status !== 200 ? 'refused' : whole ? 'whole' : 'failed', rid, said });
      },
      onResponseError: (_, error) =>
        resolve({ end: gone ? 'left' : 'broken', rid, said: `${said} ${String(error)}` }),
    });
  });
}

function firstMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the provider ended: ${code}`)));
    child.once('message', resolve);
  });
}
