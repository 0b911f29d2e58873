import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI, { APIError } from 'openai';
import { ROOT } from './source.ts';

/** One use of an official client. */
export interface ClientCase {
  readonly key: string;
  /** With the version part. */
  readonly url: string;
  readonly do: 'chat' | 'models' | 'model';
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Null leaves the client its own number. */
  readonly retries: number | null;
  /** The length of the only message, in place of those in `arguments`; 0 leaves them. */
  readonly fill: number;
}

/** An error as the client showed it; the clients for Node and Python name their classes alike. */
export interface ClientError {
  readonly type: string;
  readonly status: number | null;
  readonly code: string | null;
  readonly param: string | null;
  readonly requestId: string | null;
  /** Of the headers that steer retries, those that the reply carries. */
  readonly retry: Readonly<Record<string, string>>;
  /** The member `error` of the reply. */
  readonly body: unknown;
}

export interface ClientResult {
  readonly receipt?: string | null;
  readonly reply?: unknown;
  readonly chunks?: readonly unknown[];
  readonly error?: ClientError;
}

/** An official client, unchanged but for base URL and key. */
export interface OfficialClient extends Disposable {
  readonly name: string;
  ask(asked: ClientCase): Promise<ClientResult>;
}

/** The openai client for Node, in this process. */
export function nodeClient(): OfficialClient {
  return { name: 'node', ask: askNode, [Symbol.dispose]: () => {} };
}

async function askNode(asked: ClientCase): Promise<ClientResult> {
  const client = new OpenAI({
    apiKey: asked.key,
    baseURL: asked.url,
    defaultHeaders: { ...asked.headers },
    ...(asked.retries === null ? {} : { maxRetries: asked.retries }),
  });
  try {
    switch (asked.do) {
      case 'chat':
        return await chatNode(client, asked);
      case 'models':
        return { reply: plain((await client.models.list()).data) };
      case 'model':
        return { reply: plain(await client.models.retrieve(String(asked.arguments['model']))) };
    }
  } catch (thrown) {
    return { error: described(thrown) };
  }
}

async function chatNode(client: OpenAI, asked: ClientCase): Promise<ClientResult> {
  const fill = { messages: [{ role: 'user', content: 'x'.repeat(asked.fill) }] };
  // Holds only for good cases: tests also send what the client's own types would not allow.
  const body = { ...asked.arguments, ...(asked.fill > 0 ? fill : {}) } as ChatParameters;
  if (body.stream !== true) {
    const { data, response } = await client.chat.completions
      .create({ ...body, stream: false })
      .withResponse();
    return { receipt: response.headers.get('sekisho-receipt'), reply: plain(data) };
  }
  const { data, response } = await client.chat.completions.create({ ...body, stream: true }).withResponse();
  const receipt = response.headers.get('sekisho-receipt');
  const chunks: unknown[] = [];
  try {
    for await (const chunk of data) chunks.push(chunk);
  } catch (thrown) {
    return { receipt, chunks, error: described(thrown) };
  }
  return { receipt, chunks };
}

type ChatParameters = OpenAI.Chat.ChatCompletionCreateParams;

// Without what the client itself adds to a reply, such as `_request_id`, which it hides from enumeration.
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function described(thrown: unknown): ClientError {
  if (!(thrown instanceof APIError)) throw thrown;
  return {
    type: thrown.constructor.name,
    status: thrown.status ?? null,
    code: thrown.code ?? null,
    param: thrown.param ?? null,
    requestId: thrown.requestID ?? null,
    retry: steering(thrown.headers),
    body: thrown.error,
  };
}

function steering(headers: Headers | undefined): Record<string, string> {
  const names = ['retry-after', 'retry-after-ms', 'x-should-retry'];
  return Object.fromEntries([...(headers ?? [])].filter(([name]) => names.includes(name)));
}

/** The openai client for Python, in a process of its own that answers line by line. */
export function pythonClient(): OfficialClient {
  const python = path.join(ROOT, '.cache', 'venv', 'bin', 'python');
  const child = spawn(python, [path.join(ROOT, 'test', 'python', 'client.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    name: 'python',
    async ask(asked) {
      child.stdin.write(`${JSON.stringify(asked)}\n`);
      const line = await lines.next();
      assert.ok(line.done !== true, 'the Python client ended');
      return JSON.parse(line.value) as ClientResult;
    },
    [Symbol.dispose]() {
      process.off('exit', kill);
      kill();
    },
  };
}
