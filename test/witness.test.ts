import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { z } from 'zod';
import { parseCheckpoint } from '../src/ledger/verify/checkpoint.ts';
import { cosigners } from '../src/ledger/verify/cosignature.ts';
import { parseNote } from '../src/ledger/verify/note.ts';
import { parseCosignerVkey } from '../src/ledger/verify/vkey.ts';
import { runCli } from './support/cli.ts';
import { consistencyPath, signedLog, treeHash } from './support/signed-log.ts';
import { ROOT } from './support/source.ts';

const SIGSUM =
  'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP';
const SUMDB = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const ORIGIN = 'go.sum database tree';

const dialogues = z.object({
  dialogue: z.array(z.object({ request: z.string(), status: z.number(), op: z.string(), body: z.string() })),
});

interface Running {
  readonly folder: string;
  readonly vkeys: readonly string[];
  url: string;
  child: ChildProcess;
}

async function witness(t: TestContext, ...logs: string[]): Promise<Running> {
  const folder = await mkdtemp(path.join(tmpdir(), 'witness-'));
  const made = await runCli(['witness', 'new', '--out', 'w.key', '--name', 'example.com/witness'], {
    cwd: folder,
    env: {},
  });
  assert.equal(made.code, 0, made.err);
  assert.equal((await stat(path.join(folder, 'w.key'))).mode & 0o777, 0o600);
  const running = { folder, vkeys: made.out.trim().split('\n'), ...(await start(folder, logs)) };
  t.after(async () => {
    running.child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  return running;
}

async function start(folder: string, logs: readonly string[]): Promise<{ child: ChildProcess; url: string }> {
  const flags = ['--key', 'w.key', '--port', '0', ...logs.flatMap((log) => ['--log', log])];
  const main = path.join(ROOT, 'src', 'cli', 'main.ts');
  const child = spawn(process.execPath, [main, 'witness', 'serve', ...flags], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', (text: string) => resolve(text.trim().slice(6)));
    child.once('exit', (code) => reject(new Error(`the witness ended with ${code}`)));
  });
  return { child, url };
}

async function post({ url }: Running, body: string, prefix = '') {
  const reply = await fetch(`${url}${prefix}/add-checkpoint`, { method: 'POST', body });
  return { status: reply.status, type: reply.headers.get('content-type'), body: await reply.text() };
}

test('answers the dialogue of another witness as its author expects', async (t) => {
  const running = await witness(t, SIGSUM);
  const added = await runCli(['witness', 'add-log', SUMDB, '--origin', ORIGIN], {
    cwd: running.folder,
    env: {},
  });
  assert.equal(added.code, 0, added.err);
  const text = await readFile(path.join(ROOT, 'fixtures', 'witness', 'dialogue.json'), 'utf8');
  const { dialogue } = dialogues.parse(JSON.parse(text));
  assert.equal(dialogue.length, 10);
  for (const { request, status, op, body } of dialogue) {
    const reply = await post(running, request);
    assert.equal(reply.status, status, reply.body);
    if (op === '==') assert.equal(reply.body, body);
    else assert.ok(reply.body.includes(body), reply.body);
    if (status === 409) assert.equal(reply.type, 'text/x.tlog.size');
  }
  const kept = await (await fetch(`${running.url}/${hash('sha256', ORIGIN)}/checkpoint`)).text();
  assert.match(kept, /^go\.sum database tree\n35225469\n/);
  const note = parseNote(kept);
  const keys = running.vkeys.map(parseCosignerVkey);
  const { cosigned } = await cosigners(note, parseCheckpoint(note.text), keys);
  assert.equal(cosigned.length, 2);
});

test('never cosigns a fork, not at once and not after it was killed', async (t) => {
  const log = signedLog('localhost/test/00000000');
  const head = (entries: Buffer[]): string =>
    log.note(`${log.origin}\n${entries.length}\n${Buffer.from(treeHash(entries)).toString('base64')}\n`);
  const one = [Buffer.from('a')];
  const running = await witness(t, log.vkey);
  assert.equal((await post(running, `old 0\n\n${head(one)}`, '/witness')).status, 200);
  const forks = Array.from({ length: 8 }, (_, i) => [...one, Buffer.from(`fork ${i}`)]);
  const asked = forks.map((fork) => {
    const proof = consistencyPath(fork, 1).map((each) => `${Buffer.from(each).toString('base64')}\n`);
    return `old 1\n${proof.join('')}\n${head(fork)}`;
  });
  const statuses = (await Promise.all(asked.map((body) => post(running, body)))).map(({ status }) => status);
  assert.deepEqual(
    statuses.toSorted((a, b) => a - b),
    [200, 409, 409, 409, 409, 409, 409, 409],
  );
  const ended = new Promise((resolve) => void running.child.once('exit', resolve));
  running.child.kill('SIGKILL');
  await ended;
  Object.assign(running, await start(running.folder, []));
  for (const body of asked) assert.equal((await post(running, body)).status, 409);
  const other = forks[(statuses.indexOf(200) + 1) % forks.length] ?? [];
  assert.equal((await post(running, `old 2\n\n${head(other)}`)).status, 422);
});

test('refuses what is malformed, and a body without end', async (t) => {
  const running = await witness(t, SUMDB);
  for (const body of ['', 'old 01\n\nx', 'old 0\nAA\n\nx\n', `old 0\n${'A\n'.repeat(64)}\nx\n`])
    assert.equal((await post(running, body)).status, 400, body);
  assert.equal((await fetch(`${running.url}/add-checkpoint`)).status, 405);
  assert.equal((await fetch(`${running.url}/${'0'.repeat(64)}/checkpoint`)).status, 404);
  const large = await post(running, 'x'.repeat(300 * 1024)).catch(() => ({ status: 413 }));
  assert.equal(large.status, 413);
});
