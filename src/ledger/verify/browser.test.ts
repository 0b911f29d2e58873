import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { promisify } from 'node:util';
import { z } from 'zod';
import { RECEIPTS, receiptCases } from '../../../test/support/receipt-cases.ts';
import { ROOT } from '../../../test/support/source.ts';

const CHROMIUM = '/usr/bin/chromium';
const PATIENCE_MS = 90_000;
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Names other than loopback do not resolve, so that the browser's own services stay silent.
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
];
const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.html': 'text/html' };

const results = z.object({
  failure: z.string().nullable(),
  answers: z.array(
    z.object({
      case: z.string(),
      exit: z.number(),
      level: z.string().nullable(),
      state: z.string().nullable(),
    }),
  ),
});
type Results = z.infer<typeof results>;

const PAGE = `<!doctype html><meta charset="utf-8"><title>verify</title><script type="module">
const post = (results) => fetch('/results', { method: 'POST', body: JSON.stringify(results) });
const read = async (file) => {
  const reply = await fetch('/receipts/' + file);
  return reply.ok ? new Uint8Array(await reply.arrayBuffer()) : null;
};
const textOf = async (file) => new TextDecoder().decode(await read(file)).trim();
try {
  const { parsePolicy, verifyReceipt } = await import('/verify/index.js');
  const answer = async ({ file, key, policy, request, response }) => {
    const receipt = await read(file);
    const bodies = {};
    if (request) bodies.request = await read(request);
    if (response) bodies.response = await read(response);
    const unusable = { exit: 2, level: null, state: null };
    if (receipt === null || Object.values(bodies).includes(null)) return unusable;
    const trust = policy ? parsePolicy(await read(policy)) : { vkeys: key ? [await textOf(key)] : [] };
    return verifyReceipt(receipt, trust, bodies);
  };
  const answers = [];
  for (const found of JSON.parse(await textOf('expect.json')).cases) {
    const { exit, level, state } = await answer(found);
    answers.push({ case: found.case, exit, level, state });
  }
  await post({ failure: null, answers });
} catch (thrown) {
  await post({ failure: String(thrown?.stack ?? thrown), answers: [] });
}
</script>`;

test('answers every case in a browser as it does in Node', { timeout: PATIENCE_MS + 30_000 }, async (t) => {
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is missing: apt-get install -y chromium`);
  const built = await mkdtemp(path.join(tmpdir(), 'verify-built-'));
  t.after(() => remove(built));
  const config = path.join(ROOT, 'src/ledger/verify/tsconfig.browser.json');
  await promisify(execFile)(path.join(ROOT, 'node_modules/.bin/tsc'), ['-p', config, '--outDir', built]);
  const page = await serve(t, built);
  await browse(t, page.url);
  const { failure, answers } = await page.results;
  assert.equal(failure, null);
  assert.deepEqual(
    answers,
    receiptCases().map((expected) => ({
      case: expected.case,
      exit: expected.exit,
      level: expected.level,
      state: expected.state,
    })),
  );
});

async function serve(t: TestContext, built: string): Promise<{ url: string; results: Promise<Results> }> {
  const posted = Promise.withResolvers<Results>();
  const late = setTimeout(() => posted.reject(new Error('the browser sent no results')), PATIENCE_MS);
  const server = createServer((request, response) => {
    const reply = request.method === 'POST' ? take(request, posted.resolve) : find(request.url ?? '/', built);
    reply.then(
      ({ type, body }) => response.writeHead(200, { 'content-type': type }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  t.after(() => {
    clearTimeout(late);
    server.closeAllConnections();
    server.close();
  });
  return { url: await listen(server), results: posted.promise };
}

async function take(request: IncomingMessage, done: (found: Results) => void) {
  done(results.parse(JSON.parse(await text(request))));
  return { type: 'text/plain', body: '' };
}

async function find(url: string, built: string): Promise<{ type: string; body: string | Buffer }> {
  if (url === '/') return { type: 'text/html', body: PAGE };
  const [, folder, file = ''] = /^\/(verify|receipts)\/([\w.-]+)$/.exec(url) ?? [];
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  return { type, body: await readFile(path.join(folder === 'verify' ? built : RECEIPTS, file)) };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://127.0.0.1:${address.port}/`;
}

async function browse(t: TestContext, url: string): Promise<void> {
  const profile = await mkdtemp(path.join(tmpdir(), 'verify-profile-'));
  const browser = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: profile },
  });
  const ended = new Promise((resolve) => void browser.on('exit', resolve));
  t.after(async () => {
    browser.kill('SIGKILL');
    await ended;
    await remove(profile);
  });
}

// The browser's helpers outlive it for a moment and may still write.
async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
