import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import test from 'node:test';
import { signedLog } from '../../../test/support/signed-log.ts';
import type { Bodies } from './opening.ts';
import { verifyReceipt } from './verify.ts';

const ID = 'r_00000000000000000000000000';
const KEY = Buffer.alloc(32, 7);
const commit = (body: string): string => createHmac('sha256', KEY).update(body).digest('base64');

type Members = Readonly<Record<string, unknown>>;
type Entry = Members | Uint8Array;
interface Road {
  /** Members that differ from a plain allowed decision, or exact bytes. */
  readonly decision?: Entry;
  /** Members that differ from a plain last outcome, exact bytes, or null. */
  readonly outcome?: Entry | null;
}

/** A receipt over a log that really signed these leaves, whatever they hold. */
function signedRoad(roads: readonly Road[], receipt: Members = {}): { receipt: Uint8Array; vkeys: string[] } {
  const log = signedLog('localhost/test/00000000');
  log.append({ v: 1, kind: 'bundle' });
  let prev: number | null = null;
  const shown = roads.map(({ decision = {}, outcome = {} }, i) => {
    const attempt = i + 1;
    const index = log.append(entry({ ...decisionLeaf(log.origin), attempt, prev }, decision));
    prev = index;
    const last = attempt === roads.length;
    const plain = { ...outcomeLeaf(last), attempt, of: index, ...(last && { attempts: attempt }) };
    return { index, outcome: outcome === null ? null : log.append(entry(plain, outcome)) };
  });
  const attempts = shown.map(({ index, outcome }) => ({
    decision: log.proven(index),
    outcome: outcome === null ? null : log.proven(outcome),
  }));
  const open = { in: KEY.toString('base64'), res: KEY.toString('base64') };
  const whole = { v: 1, id: ID, origin: log.origin, checkpoint: log.note(), attempts, open, ...receipt };
  return { receipt: Buffer.from(JSON.stringify(whole)), vkeys: [log.vkey] };
}

function decisionLeaf(log: string): Members {
  const c = { in: commit('question'), req: null, caller: commit('me'), tenant: commit('us') };
  return { v: 1, kind: 'decision', rid: ID, t: 1, log, effect: 'allow', to: { endpoint: 'local/x' }, c };
}

function outcomeLeaf(last: boolean): Members {
  return {
    v: 1,
    kind: 'outcome',
    rid: ID,
    t: 2,
    status: 'ok',
    c: { res: last ? commit('answer') : null, peer: null },
  };
}

function entry(plain: Members, changed: Entry): Entry {
  return changed instanceof Uint8Array ? changed : { ...plain, ...changed };
}

async function verdict(roads: readonly Road[], options: { receipt?: Members; bodies?: Bodies } = {}) {
  const { receipt, vkeys } = signedRoad(roads, options.receipt);
  return verifyReceipt(receipt, { vkeys }, options.bodies);
}

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const c = (members: Members): Members => ({ c: { in: commit('question'), res: null, ...members } });

const INVALID: readonly (readonly [
  what: string,
  roads: readonly Road[],
  reason: RegExp,
  receipt?: Members,
])[] = [
  ['a leaf larger than 65,535 bytes', [{ decision: { x: 'x'.repeat(65_535) } }], /at most 65535/],
  ['a leaf that is an array', [{ decision: Buffer.from('[]') }], /JSON object/],
  ['a leaf with a BOM', [{ decision: Buffer.from('\ufeff{"v":1}') }], /not JSON/],
  ['an attempt with an exponent', [{ decision: Buffer.from(leafText('"attempt":1e0')) }], /attempt/],
  ['an attempt of minus zero', [{ decision: Buffer.from(leafText('"attempt":-0')) }], /attempt/],
  ['an attempt beyond 2^53', [{ decision: { attempt: 2 ** 53 } }], /attempt/],
  ['attempts written as a string', [{ outcome: { attempts: '1' } }], /attempts/],
  ['attempts null', [{ outcome: { attempts: null } }], /attempts/],
  ['no attempts at all counted', [{ outcome: { attempts: 0 } }], /0, but 1 are shown/],
  ['no commitments in a decision', [{ decision: { c: null } }], /decision\.c/],
  ['no commitment to the request', [{ decision: { c: {} } }], /c\.in/],
  ['a commitment of 31 bytes', [{ outcome: c({ res: Buffer.alloc(31).toString('base64') }) }], /c\.res/],
  ['a peer that is not base64', [{ outcome: c({ peer: '127.0.0.1:80' }) }], /c\.peer/],
  ['two requests on one road', [{}, { decision: c({ in: commit('another') }) }], /different requests/],
  ['two responses on one road', [{ outcome: c({ res: commit('answer') }) }, {}], /more than one outcome/],
  ['an outcome without a status', [{ outcome: { status: undefined } }], /status/],
  ['an effect that is not a string', [{ decision: { effect: true } }], /effect/],
  ['a destination that is a string', [{ decision: { to: 'local/x' } }], /to/],
  ['rid absent', [{ decision: { rid: undefined } }], /rid/],
  ['log absent', [{ decision: { log: undefined } }], /log/],
  ['another log that starts alike', [{ decision: { log: 'localhost/test/000000000' } }], /log/],
  ['opening keys that are null', [{}], /open/, { open: null }],
  ['an opening key that is null', [{}], /open\.in/, { open: { in: null } }],
  ['a faulty key for what is never compared', [{}], /open\.req/, { open: { req: 'AAAA' } }],
  ['an id that is a number', [{}], /id/, { id: 1 }],
  ['an id with a newline at its end', [{}], /id/, { id: `${ID}\n` }],
  ['an attempt that is null', [{}], /attempts\[0\]/, { attempts: [null] }],
  ['a checkpoint that is an object', [{}], /checkpoint/, { checkpoint: {} }],
];

for (const [what, roads, reason, receipt] of INVALID)
  test(`finds a signed receipt with ${what} invalid`, async () => {
    const found = await verdict(roads, receipt === undefined ? {} : { receipt });
    assert.deepEqual([found.exit, found.verdict, found.level, found.state], [1, 'invalid', null, null]);
    assert.match(found.reasons.join('\n'), reason);
  });

const UNUSABLE: readonly (readonly [what: string, roads: readonly Road[], receipt?: Members])[] = [
  ['a leaf nested too deep', [{ decision: Buffer.from(`{"v":1,"x":${deep(64)}}`) }]],
  ['a leaf without a version', [{ outcome: { v: undefined } }]],
  ['a leaf of version "1"', [{ decision: { v: '1' } }]],
  ['a receipt of version "1"', [{}], { v: '1' }],
  [
    '1,001 attempts',
    [{}],
    { attempts: Array.from({ length: 1001 }, () => ({ decision: {}, outcome: null })), id: ID },
  ],
];

for (const [what, roads, receipt] of UNUSABLE)
  test(`finds a signed receipt with ${what} unusable`, async () => {
    const found = await verdict(roads, receipt === undefined ? {} : { receipt });
    assert.deepEqual([found.exit, found.verdict, found.level, found.state], [2, 'unusable', null, null]);
  });

const VALID: readonly (readonly [what: string, roads: readonly Road[], state: 'open' | 'closed'])[] = [
  ['one attempt', [{}], 'closed'],
  ['three attempts', [{}, {}, {}], 'closed'],
  ['no outcome yet', [{ outcome: null }], 'open'],
  ['an earlier outcome still to come', [{ outcome: null }, {}], 'open'],
  ['more attempts counted than shown', [{ outcome: { attempts: 2 } }], 'open'],
  ['a denial', [{ decision: { effect: 'deny', to: null }, outcome: null }], 'closed'],
  [
    'a denial after an unanswered attempt',
    [{ outcome: null }, { decision: { effect: 'deny', to: null }, outcome: null }],
    'open',
  ],
  ['64 levels in a leaf', [{ decision: { x: JSON.parse(deep(63)) } }], 'closed'],
  [
    'unknown words in open vocabularies',
    [{ decision: { action: 'x', surface: 1 }, outcome: { status: 'x', code: [] } }],
    'closed',
  ],
];

for (const [what, roads, state] of VALID)
  test(`finds a signed receipt with ${what} valid and ${state}`, async () => {
    const found = await verdict(roads);
    assert.deepEqual([found.exit, found.state, found.reasons], [0, state, []]);
  });

test('lets invalid outrank unusable and not comparable', async () => {
  const found = await verdict([{ decision: { v: 2 }, outcome: { rid: 'r_x' } }], {
    bodies: { response: Buffer.from('answer') },
  });
  assert.equal(found.exit, 1);
});

test('finds a receipt without any key, or with a malformed one, unusable', async () => {
  const { receipt, vkeys } = signedRoad([{}]);
  assert.equal((await verifyReceipt(receipt, { vkeys: [] })).exit, 2);
  assert.equal((await verifyReceipt(receipt, { vkeys: [...vkeys, 'x'] })).exit, 2);
});

test('compares both bodies, an empty one included', async () => {
  const bodies = { request: Buffer.from('question'), response: Buffer.from('answer') };
  assert.equal((await verdict([{}], { bodies })).exit, 0);
  assert.equal((await verdict([{}], { bodies: { ...bodies, request: Buffer.alloc(0) } })).exit, 1);
  assert.equal((await verdict([{}], { bodies: { ...bodies, response: Buffer.from('answer ') } })).exit, 1);
  const empty = await verdict([{ outcome: c({ res: commit('') }) }], {
    bodies: { response: Buffer.alloc(0) },
  });
  assert.equal(empty.exit, 0);
});

test('does not compare a response when any client had gone', async () => {
  const bodies = { response: Buffer.from('answer') };
  const found = await verdict([{ outcome: { status: 'client-gone' } }, {}], { bodies });
  assert.deepEqual(
    [found.exit, found.verdict, found.level, found.state],
    [2, 'not comparable', 'logged', 'closed'],
  );
});

test('refuses a receipt over 16 MiB before it reads it', async () => {
  const { receipt, vkeys } = signedRoad([{}]);
  const limit = 16 * 2 ** 20;
  const padded = (bytes: number): Uint8Array =>
    Buffer.concat([receipt, Buffer.alloc(bytes - receipt.length, 0x20)]);
  assert.equal((await verifyReceipt(padded(limit), { vkeys })).exit, 0);
  assert.deepEqual((await verifyReceipt(padded(limit + 1), { vkeys })).reasons, [
    'receipt: larger than 16 MiB',
  ]);
});

test('shows what the leaves say, and null where they say something else', async () => {
  const { summary } = await verdict([
    { decision: { model: 'chat', surface: 7 }, outcome: { http: 200, code: null } },
  ]);
  const [attempt] = summary?.attempts ?? [];
  assert.deepEqual([attempt?.decision?.model, attempt?.decision?.surface], ['chat', null]);
  assert.deepEqual(
    [attempt?.decision?.endpoint, attempt?.outcome?.status, attempt?.outcome?.http],
    ['local/x', 'ok', 200],
  );
});

function leafText(attempt: string): string {
  return `{"v":1,"kind":"decision","rid":"${ID}",${attempt},"prev":null,"log":"localhost/test/00000000","effect":"allow","to":{},"c":{"in":"${commit('question')}"}}`;
}
