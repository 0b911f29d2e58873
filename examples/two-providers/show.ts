// Shows an allow and a denial: node bin/node.cjs examples/two-providers/show.ts
// Two servers of this machine play a provider in Japan and one abroad; a site on a temporary folder decides between
// them. Everything is gone when it ends.
import { spawn, type ChildProcess } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
// oxlint-disable-next-line eslint/no-restricted-imports -- it plays the providers, which are no part of a site
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const HERE = import.meta.dirname;
const READY_MS = 60_000;

interface Provider extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  requests(): number;
}

interface Site extends AsyncDisposable {
  readonly url: string;
  readonly key: string;
}

interface Question {
  readonly label: 'c1' | 'c2';
  readonly model: string;
  readonly ja: string;
  readonly en: string;
  readonly status: number;
}

interface Reply {
  readonly status: number;
  readonly endpoint: string | null;
  readonly receipt: string | null;
  readonly body: Body;
}

/** The members that are shown, of an answer or of an error. */
interface Body {
  readonly choices?: readonly { readonly message: { readonly content: string } }[];
  readonly error?: {
    readonly innererror?: {
      readonly reasons?: readonly { readonly policy: string; readonly ja: string; readonly en: string }[];
    };
  };
}

const QUESTIONS: readonly Question[] = [
  {
    label: 'c1',
    model: 'chat-abroad',
    ja: '機密性1（公開できる情報）を、国外の提供者しかないモデルへ',
    en: 'class 1 (public information) to the model that only the foreign provider serves',
    status: 200,
  },
  {
    label: 'c2',
    model: 'chat-abroad',
    ja: '機密性2（要機密情報）を、同じモデルへ',
    en: 'class 2 (information to be protected) to the same model',
    status: 403,
  },
  {
    label: 'c2',
    model: 'chat',
    ja: '機密性2を、国内の提供者もあるモデルへ',
    en: 'class 2 to the model that the domestic provider serves too',
    status: 200,
  },
];

process.exitCode = await show();

async function show(): Promise<number> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sekisho-show-'));
  try {
    await using domestic = await startProvider(
      'domestic',
      '国内の提供者です。 This is the domestic provider.',
    );
    await using foreign = await startProvider('foreign', '国外の提供者です。 This is the foreign provider.');
    await using site = await startSite(folder, [domestic, foreign]);
    let asExpected = true;
    for (const question of QUESTIONS) {
      const before = foreign.requests();
      const reply = await ask(site, question);
      print(question, reply, foreign.requests() - before);
      asExpected &&= reply.status === question.status;
    }
    say(`国内の提供者が受けた要求: ${domestic.requests()}、国外の提供者: ${foreign.requests()}`);
    say(
      `requests that reached the domestic provider: ${domestic.requests()}, the foreign one: ${foreign.requests()}`,
    );
    return asExpected && domestic.requests() === 1 && foreign.requests() === 1 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function print({ label, model, ja, en }: Question, reply: Reply, reachedForeign: number): void {
  say(`\n${ja}\n${en}\n  Sekisho-Label: ${label}, model: ${model}`);
  const { choices, error } = reply.body;
  const answer = choices?.[0]?.message.content;
  if (answer !== undefined) say(`  許可 allowed: ${reply.endpoint ?? ''}\n  ${answer}`);
  else {
    say(`  拒否 denied: HTTP ${reply.status}, 国外への送信 sent abroad: ${reachedForeign}`);
    for (const reason of error?.innererror?.reasons ?? [])
      say(`  - ${reason.policy}\n    ${reason.ja}\n    ${reason.en}`);
  }
  say(`  受領証 receipt: ${reply.receipt ?? ''}\n`);
}

async function ask(site: Site, { label, model, en }: Question): Promise<Reply> {
  // oxlint-disable-next-line eslint/no-restricted-globals -- it plays the client, which is no part of a site
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${site.key}`,
      'content-type': 'application/json',
      'sekisho-label': label,
    },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: en }] }),
  });
  return {
    status: response.status,
    endpoint: response.headers.get('sekisho-endpoint'),
    receipt: response.headers.get('sekisho-receipt'),
    // What a site answers has this shape; a member that is missing is shown as missing.
    body: (await response.json()) as Body,
  };
}

async function startProvider(name: string, answer: string): Promise<Provider> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    request.resume().once('end', () => {
      const choices = [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: answer } }];
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      const completion = {
        id: 'c',
        object: 'chat.completion',
        created: 0,
        model: 'chat-model',
        choices,
        usage,
      };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(completion));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    name,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The example's own governance, with the ports on which the providers listen now. */
async function startSite(folder: string, providers: readonly Provider[]): Promise<Site> {
  const governance = path.join(folder, 'governance');
  await cp(path.join(HERE, 'governance'), governance, { recursive: true });
  for (const { name, port } of providers) {
    const file = path.join(governance, 'providers', `${name}.yaml`);
    const draft = await readFile(file, 'utf8');
    await writeFile(file, draft.replace(/^url: .*$/m, `url: http://127.0.0.1:${port}/v1`));
  }
  await mkdir(path.join(folder, 'anchor'));
  const config = path.join(folder, 'sekisho.yaml');
  await writeFile(config, JSON.stringify({ governance, ledger: { anchor: path.join(folder, 'anchor') } }));
  const data = path.join(folder, 'data');
  const program = path.join(HERE, '..', '..', 'bin', 'sekisho.cjs');
  const child = spawn(process.execPath, [program, 'up', '--config', config, '--data', data, '--port', '0'], {
    env: { HOME: folder, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    const url = await readyUrl(child);
    const key = (await readFile(path.join(data, 'admin-key'), 'utf8')).trim();
    return { url, key, [Symbol.asyncDispose]: stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

async function readyUrl(child: ChildProcess): Promise<string> {
  const complaint = child.stderr === null ? Promise.resolve('') : text(child.stderr);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const late = setTimeout(() => reject(new Error('the site did not become ready')), READY_MS);
  child.once('exit', () => void complaint.then((said) => reject(new Error(`the site ended: ${said}`))));
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
    const url = /^ready (\S+)$/m.exec(said)?.[1];
    if (url !== undefined) resolve(url);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(late);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
