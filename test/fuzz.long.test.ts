import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { verifyReceipt } from '../src/ledger/verify/index.ts';
import { runCli } from './support/cli.ts';
import { fuzzAnswer } from './support/fuzz/answers.ts';
import { PROPERTIES } from './support/fuzz/properties.ts';
import { fuzzRandom, fuzzSeed } from './support/fuzz/random.ts';
import { exchange, readReply, replyProblem, type ReadReply } from './support/fuzz/replies.ts';
import { CANARY, fuzzRequest, type FuzzRequest } from './support/fuzz/requests.ts';
import { loopbackProvider } from './support/governance.ts';
import { startProvider, type Provider } from './support/provider.ts';
import { logKey } from './support/road.ts';
import { logFolder } from './support/sealed-work.ts';
import { startSite, type Site } from './support/site.ts';
import { tinyModels, tinyReady } from './support/tiny-model.ts';

/** @note `FUZZ_SECONDS=60 npm run test:long -- fuzz --seed S` runs one minute; `--seed S:N` is case N of it alone. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 600);
const { seed, only } = fuzzSeed(process.env['FUZZ_SEED'], () => randomBytes(4).toString('hex'));
/** A site waits this many seconds for a provider. */
const TIMEOUT = 2;
const HANGS_MS = 20_000;
const RECEIPTS = 0.2;
const TOLD_EVERY_MS = 30_000;

// What was started is ended also when a later start fails.
const held = new AsyncDisposableStack();
let near: Provider;
let abroad: Provider;
let site: Site;
let vkey: string;

before(async () => {
  process.stderr.write(`seed ${seed}: the same again with --seed ${seed}\n`);
  near = held.use(await startProvider());
  abroad = held.use(await startProvider({ host: '127.0.0.2' }));
  const models = { m: 'c3' } as const;
  const only = (...endpoints: readonly string[]): object => ({
    from: endpoints.map((endpoint) => ({ endpoint, weight: 1 })),
  });
  site = await startSite({
    models: await tinyModels(held),
    config: { egress: { timeout: TIMEOUT }, routing: { repeats: 0, breaker: { failures: 1_000_000 } } },
    governance: {
      providers: [
        loopbackProvider({ id: 'near', url: near.url, models }),
        loopbackProvider({ id: 'abroad', url: abroad.url, models, country: 'US' }),
        { id: 'local', kind: 'llama', models: { tiny: { accepts: 'c3' } } },
      ],
      models: {
        chat: only('near/m'),
        abroad: only('abroad/m'),
        both: only('abroad/m', 'near/m'),
        tiny: only('local/tiny'),
      },
    },
  });
  held.defer(async () => void (await site.stop()));
  await tinyReady(site);
  vkey = await logKey(site);
});

after(async () => held.disposeAsync());

for (const [name, holds] of Object.entries(PROPERTIES))
  test(`${name} holds for whatever it is given`, () => {
    const end = performance.now() + (SECONDS * 100) / Object.keys(PROPERTIES).length;
    for (let run = only ?? 0; performance.now() < end; run++) {
      told(run, () => holds(fuzzRandom(`${seed} ${name}`, run)));
      if (only !== null) return;
    }
  });

test('requests and answers that are nearly right do nothing that is not written down', async (t) => {
  const end = performance.now() + SECONDS * 900;
  const ends = new Map<string, number>();
  let next = performance.now() + TOLD_EVERY_MS;
  let run = only ?? 0;
  for (; performance.now() < end; run++) {
    const reply = await toldLater(run, () => oneCase(run));
    ends.set(reply, (ends.get(reply) ?? 0) + 1);
    if (only !== null) break;
    if (performance.now() < next) continue;
    next += TOLD_EVERY_MS;
    process.stderr.write(`${run} cases\n`);
  }
  t.diagnostic(`seed ${seed}, ${run} cases: ${JSON.stringify(Object.fromEntries(ends))}`);
  assert.equal(
    abroad.connections,
    0,
    'nothing went to an endpoint that policy denies, or to a host that it does not know',
  );
  assert.ok(!site.stderr().includes('egress.tripwire'), site.stderr());
  assert.equal((await site.call('/healthz')).status, 200);
  assert.equal((await site.stop({ keep: true })).code, 0);
  nothingKept();
  const checked = await runCli(['ledger', 'check', logFolder(site.data), '--key', vkey], {
    cwd: site.root,
    env: {},
  });
  assert.equal(checked.code, 0, checked.out + checked.err);
});

/** Sends one request, and answers what reaches the provider; gives the status, or how it ended without one. */
async function oneCase(run: number): Promise<string> {
  const random = fuzzRandom(seed, run);
  near.behaveAlways(fuzzAnswer(random));
  const request = fuzzRequest(random, { key: site.adminKey, elsewhere: `127.0.0.2:${abroad.port}` });
  const leaving = random.pick([
    'waits',
    'waits',
    'waits',
    'waits',
    'waits',
    'waits',
    'ends',
    'gone',
  ] as const);
  const reply = await exchange(site.port, { bytes: request.bytes, leaving }, HANGS_MS);
  assert.ok(reply !== null, `no end after ${HANGS_MS} ms: ${shown(request)}`);
  const read = readReply(reply);
  // Who leaves early may get any part of an answer.
  if (leaving !== 'waits') return leaving;
  if (read === null) return reply.bytes.length === 0 ? 'closed' : assert.fail(`no HTTP: ${shown(request)}`);
  const problem = replyProblem(read);
  assert.equal(problem, null, shown(request));
  assert.ok(!site.stderr().includes('core.unexpected'), `a fault of its own: ${shown(request)}`);
  if (random.chance(RECEIPTS)) await receiptVerifies(request, read);
  return String(read.status);
}

async function receiptVerifies({ body }: FuzzRequest, reply: ReadReply): Promise<void> {
  const id = reply.headers.get('sekisho-receipt');
  if (id === undefined) return;
  const receipt = await site.call(`/v1/receipts/${id}?wait=10`);
  assert.equal(receipt.status, 200, receipt.text);
  assert.ok(!receipt.text.includes(CANARY));
  const bodies = {
    ...(body === null ? {} : { request: body }),
    ...(reply.body === null || reply.status !== 200 ? {} : { response: reply.body }),
  };
  const { verdict, ...why } = await verifyReceipt(Buffer.from(receipt.text), { vkeys: [vkey] }, bodies);
  assert.ok(
    verdict === 'valid' || (reply.body === null && verdict === 'not comparable'),
    `${verdict} ${JSON.stringify(why)}`,
  );
}

/** No file that the site wrote, and no line that it said, holds what a caller put into a request. */
function nothingKept(): void {
  assert.ok(!`${site.stdout()}${site.stderr()}`.includes(CANARY));
  for (const entry of readdirSync(site.data, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    // Names of keys and organisations are what administrators call them; only the database has them.
    if (/sekisho\.db/.test(entry.name)) continue;
    assert.ok(!readFileSync(file, 'latin1').includes(CANARY), file);
  }
}

function shown({ bytes }: FuzzRequest): string {
  return JSON.stringify(bytes.toString('latin1').slice(0, 4_000).replaceAll(site.adminKey, 'KEY'));
}

function told(run: number, holds: () => void): void {
  try {
    holds();
  } catch (cause) {
    throw new Error(`--seed ${seed}:${run}`, { cause });
  }
}

async function toldLater<T>(run: number, holds: () => Promise<T>): Promise<T> {
  try {
    return await holds();
  } catch (cause) {
    throw new Error(`--seed ${seed}:${run}\n${site.stderr().slice(-2_000)}`, { cause });
  }
}
