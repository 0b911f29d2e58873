import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { ROOT } from '../../test/support/source.ts';
import { readEnv } from '../core/env.ts';
import { providerProblem } from '../server/provider-draft.ts';
import { askAll } from './provider-dialog.ts';

const NODE = [process.execPath, path.join(ROOT, 'src', 'cli', 'main.ts')];
const PINS = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`];
const FLAGS: Readonly<Record<string, string>> = {
  kind: 'openai',
  url: 'https://ai.example/v1',
  model: 'chat=c2',
  operator: 'Example K.K.',
  inference: 'JP',
  training: 'no',
  'retention-days': '0',
  posture: 'public',
  issued: '2026-12-01',
  expires: '2027-03-31',
  host: 'ai.example',
  address: '203.0.113.0/24',
  pin: PINS.join(','),
};

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** What is typed: all at once, or enough to come to a question, and then a key. */
type Typed = string | { readonly whenSeen: RegExp; readonly type: string };

async function run(command: readonly string[], folder: string, input: Typed = ''): Promise<Ran> {
  const [program = '', ...args] = command;
  const env = { PATH: process.env['PATH'], HOME: folder, LANG: 'en_US.UTF-8' };
  const child = spawn(program, args, { cwd: folder, env, timeout: 30_000 });
  let [out, err] = ['', ''];
  let pressed = false;
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    if (typeof input === 'string' || pressed || !input.whenSeen.test(out)) return;
    pressed = true;
    child.stdin.write(input.type);
  });
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  if (typeof input === 'string') child.stdin.end(input);
  else child.stdin.write('\nhttps://ai.example/v1\n');
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out, err };
}

function temporary(context: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sekisho-provider-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function add(id: string, flags: Readonly<Record<string, string>>): string[] {
  return [
    ...NODE,
    'provider',
    'add',
    id,
    ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
  ];
}

const draftIn = (folder: string, id = 'ours'): unknown =>
  parse(readFileSync(path.join(folder, 'governance', 'providers', `${id}.yaml`), 'utf8'));

test('writes a draft that can be used from flags, unknown facts by name, evidence by digest', async (context) => {
  const folder = temporary(context);
  writeFileSync(path.join(folder, 'ismap.pdf'), 'listed');
  const evidence = { certification: 'ISMAP', evidence: 'ISMAP=ismap.pdf@2027-02-28' };
  const ran = await run([...add('ours', { ...FLAGS, ...evidence }), '--json'], folder);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.err, /takes effect after policy check, build, sign and apply/);
  const draft = draftIn(folder);
  assert.equal(providerProblem(draft), null);
  assert.deepEqual(JSON.parse(ran.out), { file: 'governance/providers/ours.yaml', provider: draft });
  assert.partialDeepStrictEqual(draft, {
    id: 'ours',
    models: { chat: { accepts: 'c2' } },
    residency: {
      inference: 'JP',
      storage: 'unknown',
      abuseReview: 'unknown',
      training: false,
      retentionDays: 0,
      contract: 'unknown',
      certifications: ['ISMAP'],
      evidence: [
        {
          document: 'ISMAP',
          digest: `sha256:${createHash('sha256').update('listed').digest('hex')}`,
          expires: '2027-02-28',
        },
      ],
    },
    network: { hosts: ['ai.example'], pins: PINS },
  });
});

test('refuses to overwrite, and leaves what is there', async (context) => {
  const folder = temporary(context);
  assert.equal((await run(add('ours', FLAGS), folder)).code, 0);
  const again = await run(add('ours', { ...FLAGS, inference: 'US' }), folder);
  assert.equal(again.code, 1);
  assert.match(again.err, /ours\.yaml is there already/);
  assert.partialDeepStrictEqual(draftIn(folder), { residency: { inference: 'JP' } });
});

test('without a terminal it names the flags that are missing', async (context) => {
  const folder = temporary(context);
  const { operator: _, address: __, ...flags } = FLAGS;
  const ran = await run(add('ours', flags), folder);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /missing: --operator --address\n/);
});

const REFUSED: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  ['a country that is none', { inference: 'Japan' }, /residency\.inference: expected an iso 3166/],
  ['a yes that is neither', { training: 'maybe' }, /residency\.training/],
  ['a contract of another kind', { contract: 'verbal' }, /residency\.contract/],
  ['one pin', { pin: PINS[0] ?? '' }, /expected an issuer, or 2 different pins/],
  ['an end before the beginning', { expires: '2026-11-30' }, /expected a time after residency\.issued/],
  ['addresses that everything passes', { address: '0.0.0.0/0' }, /wider than/],
  ['plain http to elsewhere', { url: 'http://ai.example/v1' }, /plain http/],
  ['a label that is none', { model: 'chat=c9' }, /models\.chat\.accepts/],
  ['evidence without its file', { evidence: 'ISMAP=none.pdf@2027-01-01' }, /none\.pdf cannot be read/],
  ['evidence without a date', { evidence: 'ISMAP=none.pdf' }, /expected NAME=FILE@DATE/],
];

for (const [what, change, problem] of REFUSED)
  test(`refuses ${what}, and writes nothing`, async (context) => {
    const folder = temporary(context);
    const ran = await run(add('ours', { ...FLAGS, ...change }), folder);
    assert.equal(ran.code, 1, ran.err);
    assert.match(ran.err, problem);
    assert.equal(existsSync(path.join(folder, 'governance', 'providers', 'ours.yaml')), false);
  });

test('an id cannot lead out of the folder', async (context) => {
  const folder = temporary(context);
  for (const id of ['../evil', 'a/b', '.', 'A']) {
    const ran = await run(add(id, FLAGS), folder);
    assert.equal(ran.code, 1);
    assert.match(ran.err, /id: expected an id/);
  }
  assert.equal(existsSync(path.join(folder, 'governance')), false);
});

test('a model of this machine needs no record and no network', async (context) => {
  const folder = temporary(context);
  const ran = await run(add('mine', { kind: 'llama', model: 'small=c3' }), folder);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(draftIn(folder, 'mine'), {
    id: 'mine',
    kind: 'llama',
    models: { small: { accepts: 'c3' } },
  });
});

test('a provider of the kind azure has a version of its interface', async (context) => {
  const folder = temporary(context);
  const azure = { kind: 'azure', url: 'https://ai.example/openai', 'api-version': '2024-10-21' };
  const more = { ...FLAGS, ...azure };
  const ran = await run(add('azure', more), folder);
  assert.equal(ran.code, 0, ran.err);
  const draft = draftIn(folder, 'azure');
  assert.equal(Object(draft).apiVersion, '2024-10-21');
  const wrong = await run(add('other', { ...more, 'api-version': 'latest' }), folder);
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /apiVersion/);
});

test('a path for health checks is taken as it is, and refused when it is none', async (context) => {
  const folder = temporary(context);
  const ran = await run(add('checked', { ...FLAGS, health: '/v1/models?limit=1' }), folder);
  assert.equal(ran.code, 0, ran.err);
  assert.equal(Object(draftIn(folder, 'checked')).health, '/v1/models?limit=1');
  for (const health of ['v1/models', '//elsewhere.example/', 'https://elsewhere.example/', '/a b']) {
    const wrong = await run(add('other', { ...FLAGS, health }), folder);
    assert.equal(wrong.code, 1, health);
    assert.match(wrong.err, /health/);
  }
});

async function dialog(locale: string, given: Readonly<Record<string, string>>, typed: readonly string[]) {
  const prompts: string[] = [];
  const rest = [...typed];
  let said = '';
  const io = { env: readEnv({ LANG: locale }), err: (text: string) => void (said += text) };
  const ask = async (prompt: string): Promise<string> => {
    prompts.push(prompt);
    return rest.shift() ?? '';
  };
  const answers = await askAll({ id: 'ours', given: new Map(Object.entries(given)) }, ask, io);
  return { answers, prompts, said, rest };
}

test('asks in the language of the locale for what was not given, and Enter leaves a fact unknown', async () => {
  const given = Object.fromEntries(Object.entries(FLAGS).filter(([name]) => name !== 'inference'));
  for (const [locale, word, hint] of [
    ['ja_JP.UTF-8', /推論を行う場所/, /分からない事実は unknown/],
    ['en_US.UTF-8', /where it computes/, /not known is unknown/],
  ] as const) {
    const { answers, prompts, said } = await dialog(locale, given, []);
    assert.equal(prompts.filter((prompt) => word.test(prompt)).length, 1);
    assert.match(said, hint);
    assert.equal(answers.get('inference'), 'unknown');
    assert.ok(prompts.every((prompt) => !prompt.includes('\n')));
  }
});

test('asks again where an answer cannot be used, and says why', async () => {
  const asked = ['training', 'expires'];
  const given = Object.fromEntries(Object.entries(FLAGS).filter(([name]) => !asked.includes(name)));
  const facts = ['secret', 'nationality', 'storage', 'logs', 'support', 'key-custody', 'sku', 'abuse-review'];
  const rest = [...facts, 'certification', 'legal-basis', 'contract', 'proxy', 'health'];
  const all = { ...given, ...Object.fromEntries(rest.map((name) => [name, ''])) };
  const typed = ['perhaps', 'no', '2026-11-01', 'soon', '', '2027-01-01'];
  const { answers, said, rest: left } = await dialog('C', all, typed);
  assert.deepEqual(left, []);
  assert.equal(answers.get('training'), 'no');
  assert.equal(answers.get('expires'), '2027-01-01');
  assert.match(
    said,
    /residency\.training[\s\S]*after residency\.issued[\s\S]*expected a date[\s\S]*this is needed/,
  );
});

test('a whole dialog at a real terminal writes the draft', async (context) => {
  const folder = temporary(context);
  const service = ['', 'https://ai.example/v1', 'ours', 'chat=c2, small', 'Example K.K.'];
  const places = ['JP', 'jp', 'JP', '', 'JP', 'JP'];
  const use = ['30', 'standard', 'no', 'no', 'public', 'ISMAP', 'domestic', 'negotiated'];
  const dates = ['2026-12-01', '2027-03-31'];
  const network = ['', '203.0.113.0/24', '', `sha256:${'3'.repeat(64)}`, ''];
  const health = ['/v1/models'];
  const typed = [...service, ...places, ...use, ...dates, ...network, ...health];
  const program = JSON.stringify([...NODE, 'provider', 'add', 'ours']);
  const script = `import pty,os,sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(${program})))`;
  const ran = await run(['python3', '-c', script], folder, `${typed.join('\n')}\n`);
  assert.equal(ran.code, 0, ran.out + ran.err);
  const draft = draftIn(folder);
  assert.equal(providerProblem(draft), null);
  assert.partialDeepStrictEqual(draft, {
    secret: 'ours',
    health: '/v1/models',
    models: { chat: { accepts: 'c2' }, small: { accepts: 'c1' } },
    residency: { inference: 'JP', logs: 'unknown', contract: 'negotiated', retentionDays: 30 },
    network: { hosts: ['ai.example'], issuer: `sha256:${'3'.repeat(64)}` },
  });
});

for (const [key, name] of [
  ['\u0004', 'Ctrl-D'],
  ['\u0003', 'Ctrl-C'],
] as const)
  test(`leaving the dialog by ${name} writes nothing`, async (context) => {
    const folder = temporary(context);
    const program = JSON.stringify([...NODE, 'provider', 'add', 'ours']);
    const script = `import pty,os,sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(${program})))`;
    const ran = await run(['python3', '-c', script], folder, { whenSeen: /name of its key/, type: key });
    assert.equal(ran.code, 1, ran.out + ran.err);
    assert.match(ran.out, /stopped; nothing was written/);
    assert.equal(existsSync(path.join(folder, 'governance')), false);
  });
