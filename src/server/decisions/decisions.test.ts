import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  AT,
  domesticRecord,
  outside,
  sampleBundle,
  sampleDrafts,
  SIGNERS,
} from '../../../test/support/policy.ts';
import { silentLog } from '../../core/log.ts';
import { systemWorld, type World } from '../../core/world.ts';
import { DAY } from '../../core/duration.ts';
import { buildBundle, encodeBundle } from '../../policy/bundle.ts';
import { CATEGORIES, type Bundle } from '../../policy/types.ts';
import type { DecisionFacts, MadeDecision } from '../../policy/replay.ts';
import { openDatabase, type Database } from '../../storage/database.ts';
import { unsignedText } from '../signed-bundle.ts';
import { DecisionBook, factsId, type BookOptions } from './book.ts';
import { OneByOne } from './one-by-one.ts';
import type { DecisionRow } from './store.ts';
import { whatIfApart } from './what-if.ts';

const CANARY = 'CNRY-kanariya-0f1e';

async function open(
  t: TestContext,
  more: Partial<BookOptions> = {},
): Promise<{ book: DecisionBook; database: Database }> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sekisho-decisions-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const database = await openDatabase({ url: 'sqlite', dir });
  t.after(() => database[Symbol.asyncDispose]());
  const book = await DecisionBook.open({ database, world: at(AT), log: silentLog, ...more });
  return { book, database };
}

function at(now: number): World {
  const world = systemWorld();
  return { ...world, clock: { ...world.clock, now: () => now } };
}

function made(rid: string, more: Partial<MadeDecision> = {}): MadeDecision {
  return {
    rid,
    t: AT,
    bundle: 'sha256:0',
    model: 'chat',
    header: null,
    label: { conf: 1, categories: [] },
    purpose: null,
    unlisted: false,
    approved: false,
    caller: { id: 'k_1', tenant: 'o_1', roles: ['caller'] },
    endpoint: 'outside/m',
    ...more,
  };
}

/** Every value of every table of the book, as text. */
async function everything(database: Database): Promise<string> {
  const db = database.tables<Record<string, Record<string, unknown>>>();
  const tables = ['decisions', 'decision_facts', 'decision_days', 'decision_gaps'];
  const rows = await Promise.all(tables.map((name) => db.selectFrom(name).selectAll().execute()));
  return JSON.stringify(rows);
}

test('a decision is kept with its facts once, and counted by day', async (t) => {
  const { book, database } = await open(t);
  book.note(made('r_1'));
  book.note(made('r_2', { t: AT + DAY, endpoint: null }));
  book.note(made('r_3', { header: 'c2', label: { conf: 2, categories: [] } }));
  await book.flush();
  assert.deepEqual(
    (await book.store.counted(AT)).map(({ facts: { label, asked }, count }) => [label, asked, count]),
    [
      ['c1', null, 2],
      ['c2', 'c2', 1],
    ],
  );
  assert.equal((await book.store.counted(AT + DAY))[0]?.count, 1, 'since the second day');
  const found = await book.store.find('r_2');
  assert.deepEqual([found?.row.effect, found?.row.endpoint, found?.facts.roles], ['deny', null, ['caller']]);
  assert.equal(await book.store.find('r_none'), null);
  const db = database.tables<{ decision_facts: { id: string } }>();
  assert.equal((await db.selectFrom('decision_facts').select('id').execute()).length, 2);
});

test('what is noted is written without being asked, and at the end', async (t) => {
  const { book } = await open(t);
  book.note(made('r_1'));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.notEqual(await book.store.find('r_1'), null);
  book.note(made('r_2'));
  await book[Symbol.asyncDispose]();
  assert.notEqual(await book.store.find('r_2'), null);
  book.note(made('r_3'));
  assert.equal(book.dropped, 1, 'after the end nothing is taken');
});

test('a full queue drops, counts what it dropped, and says so later', async (t) => {
  const { book } = await open(t, { maxWaiting: 2 });
  for (const rid of ['r_1', 'r_2', 'r_3', 'r_4', 'r_5']) book.note(made(rid));
  assert.equal(book.dropped, 3);
  await book.flush();
  assert.equal((await book.store.counted(AT))[0]?.count, 2);
  assert.equal(await book.store.missed(AT), 3);
  assert.equal(await book.store.missed(AT + DAY), 0);
});

test('a database that refuses costs the batch and nothing else', async (t) => {
  const { book, database } = await open(t);
  book.note(made('r_1'));
  await book.flush();
  book.note(made('r_1'));
  await book.flush();
  assert.equal(book.dropped, 1, 'the same id twice is refused by the table');
  book.note(made('r_2'));
  await book.flush();
  assert.notEqual(await book.store.find('r_2'), null);
  assert.equal(await book.store.missed(AT), 1);
  await database[Symbol.asyncDispose]();
  book.note(made('r_3'));
  await book.flush();
  assert.equal(book.dropped, 2);
});

test('an erased request is in no table any more, written or waiting, and out of the counts', async (t) => {
  const { book, database } = await open(t);
  book.note(made('r_keep'));
  book.note(made('r_gone', { caller: { id: 'k_2', tenant: 'o_gone', roles: ['caller'] } }));
  book.note(made('r_also'));
  await book.flush();
  assert.equal(await book.erase(['r_gone']), 1);
  assert.equal(await book.erase(['r_gone']), 0);
  assert.doesNotMatch(await everything(database), /r_gone|o_gone/);
  assert.equal(await book.erase(['r_also']), 1);
  assert.equal((await book.store.counted(AT))[0]?.count, 1);
  book.note(made('r_waits'));
  assert.equal(await book.erase(['r_waits']), 1);
  await book.flush();
  assert.equal(await book.store.find('r_waits'), null);
  book.note(made('r_racing'));
  const writing = book.flush();
  assert.equal(await book.erase(['r_racing']), 1, 'in the batch that is being written');
  await writing;
  assert.equal(await book.store.find('r_racing'), null);
});

test('the rows beyond the number that is kept go, their counts stay; the days beyond go with both', async (t) => {
  const { book } = await open(t);
  for (let i = 0; i < 10; i++) book.note(made(`r_${i}`, { t: AT + i }));
  book.note(made('r_old', { t: AT - 9 * DAY, model: 'forgotten' }));
  await book.flush();
  await book.store.prune({ days: 5, rows: 4 }, AT);
  assert.deepEqual(await book.store.latest([factsId(await factsOfChat(book))], AT, 20), [
    'r_9',
    'r_8',
    'r_7',
    'r_6',
  ]);
  assert.deepEqual(
    (await book.store.counted(0)).map(({ facts, count }) => [facts.model, count]),
    [['chat', 10]],
  );
  assert.equal(await book.erase(['r_9']), 1);
});

async function factsOfChat(book: DecisionBook): Promise<DecisionFacts> {
  const [first] = await book.store.counted(0);
  assert.ok(first !== undefined);
  return first.facts;
}

test('nothing that was not asked for enters the tables', async (t) => {
  const { book, database } = await open(t);
  const loaded = { ...made('r_1'), input: Buffer.from(CANARY), body: CANARY, prompt: CANARY };
  book.note({ ...loaded, caller: { ...loaded.caller, id: CANARY } });
  await book.flush();
  const text = await everything(database);
  assert.match(text, /r_1/);
  assert.doesNotMatch(text, new RegExp(CANARY));
});

/** 2,000 sets of facts: 3 confidentialities, the subsets of 7 categories, and organisations. */
function plantedFacts(): DecisionFacts[] {
  return Array.from({ length: 2000 }, (_, index) => {
    const categories = CATEGORIES.filter((_category, bit) => ((index >> bit) & 1) === 1);
    const label = [`c${(index % 3) + 1}`, ...categories].join(',');
    const tenant = `o_${Math.floor(index / 384)}`;
    return {
      model: 'chat',
      asked: label,
      label,
      purpose: null,
      unlisted: false,
      approved: false,
      tenant,
      roles: ['caller'],
    };
  });
}

const READS_ORGANISATION = `@reason_ja("組織")@reason_en("organisation")
  forbid (principal is Caller, action == Action::"infer", resource is Endpoint)
  when { principal.tenant == "o_none" };`;

/** Three endpoints for each decision; where a rule reads the organisation no two sets of facts are alike. */
function threePlaces(policies: Readonly<Record<string, string>>, inference: string): Bundle {
  const drafts = sampleDrafts({ policies });
  const providers = ['a', 'b', 'c'].map((id) => ({
    ...outside,
    id,
    residency: { ...domesticRecord, operator: id, inference: id === 'a' ? inference : 'JP' },
  }));
  const from = providers.map(({ id }) => ({ endpoint: `${id}/m`, weight: 1 }));
  const models = { chat: { from, strategy: 'order' as const, label: null } };
  return buildBundle({ ...drafts, providers, models }, { version: 1, signers: SIGNERS });
}

test('100,000 decisions from 2,000 sets of facts are compared within 5 s, requests going on', async (t) => {
  const { book } = await open(t);
  const facts = new Map(plantedFacts().map((each) => [factsId(each), each]));
  const ids = [...facts.keys()];
  assert.equal(ids.length, 2000);
  for (let from = 0; from < 100_000; from += 4000) await book.store.write(batch(facts, ids, from));
  for (const policies of [{}, { 'own-org': READS_ORGANISATION }]) {
    const turns = countTurns();
    const started = performance.now();
    const counted = await book.store.counted(AT - 30 * DAY);
    const running = encodeBundle(threePlaces(policies, 'JP'));
    const given = unsignedText(threePlaces(policies, 'US'));
    const { answer } = await whatIfApart({ running, given, counted, now: AT }, new AbortController().signal);
    const ms = performance.now() - started;
    const [longest, what] = [turns.stop(), Object.keys(policies).join() || 'default pack'];
    t.diagnostic(
      `${what}: ${answer.changed} of ${answer.decisions} would change, ${ms.toFixed(0)} ms, longest turn ${longest.toFixed(0)} ms`,
    );
    assert.equal(answer.decisions, 100_000);
    assert.ok(answer.changed > 0 && answer.groups.length > 100);
    assert.ok(ms <= 5000, `${what}: ${ms} ms`);
  }
});

function batch(
  facts: ReadonlyMap<string, DecisionFacts>,
  ids: readonly string[],
  from: number,
): Parameters<DecisionBook['store']['write']>[0] {
  const rows = Array.from({ length: 4000 }, (_, i): DecisionRow => {
    const n = from + i;
    const day = n % 30;
    return {
      rid: `r_${n}`,
      t: AT - day * DAY,
      facts: ids[n % ids.length] ?? '',
      bundle: 'sha256:0',
      effect: 'allow',
      endpoint: 'outside/m',
    };
  });
  return { rows, facts, missed: 0, now: AT };
}

/** The longest time for which nothing else could run. */
function countTurns(): { stop: () => number } {
  let [last, longest] = [performance.now(), 0];
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  return {
    stop: () => {
      clearInterval(timer);
      return longest;
    },
  };
}

test('a bundle that cannot be decided with is refused with its reason, and the comparison can be given up', async () => {
  const task = { running: encodeBundle(sampleBundle()), given: '{}\n', counted: [], now: AT };
  const { signal } = new AbortController();
  await assert.rejects(whatIfApart(task, signal), { kind: 'invalid', code: 'policy.draft' });
  await assert.rejects(whatIfApart({ ...task, given: 'not a bundle\n' }, signal), { code: 'policy.bundle' });
  const given = unsignedText(sampleBundle());
  await assert.rejects(whatIfApart({ ...task, given: given.replace('"JP"', '"US"') }, signal), {
    code: 'policy.bundle',
  });
  await assert.rejects(whatIfApart({ ...task, given }, AbortSignal.timeout(1)), {
    code: 'server.what_if_ended',
  });
});

test('costly questions are answered one by one, and refused beyond the places, whatever becomes of one', async () => {
  const line = new OneByOne(2);
  const gate = Promise.withResolvers<string>();
  const order: string[] = [];
  const first = line.run(async () => {
    order.push(await gate.promise);
    throw new Error('planted');
  });
  const second = line.run(async () => order.push('second'));
  await assert.rejects(
    line.run(async () => 'third'),
    { kind: 'exhausted', code: 'server.busy' },
  );
  gate.resolve('first');
  await assert.rejects(first, /planted/);
  await second;
  assert.deepEqual(order, ['first', 'second']);
  assert.equal(await line.run(async () => 'free again'), 'free again');
});
