import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lyingLog, type LyingLog } from '../../../test/support/lying-log.ts';
import { signedLog } from '../../../test/support/signed-log.ts';
import { Fault } from '../../core/fault.ts';
import { Monitor, type LogReport, type Watched } from './monitor.ts';
import type { AlarmKind } from './round.ts';
import { StateFile } from './state-file.ts';

const START = 1_700_000_000_000;
const NOTHING = { silenceMs: null, outcomeMs: null };

/** Monitors one log by a state file that lives as long as the test; each look is a process of its own, so to say. */
class Watch implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'sekisho-monitor-'));
  readonly state = join(this.folder, 'state.json');
  readonly #watched: Watched;

  constructor(log: LyingLog, more: Partial<Watched> = {}) {
    const remote = { read: (path: string, limit: number) => log.read(path.slice(1), limit) };
    this.#watched = { remote, isOneLog: true, vkeys: [log.vkey], bounds: NOTHING, ...more };
  }

  async look(now = START, more: Partial<Watched> = {}): Promise<LogReport> {
    const [report] = await this.lookAll(now, more);
    return report ?? assert.fail('no report');
  }

  async lookAll(now: number, more: Partial<Watched>): Promise<readonly LogReport[]> {
    using file = new StateFile(this.state);
    const monitor = await Monitor.open({ ...this.#watched, ...more }, file, now);
    return monitor.round(now);
  }

  async kinds(now = START, more: Partial<Watched> = {}): Promise<readonly AlarmKind[]> {
    return (await this.look(now, more)).alarms.map(({ kind }) => kind);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function entries(count: number, history = 'true'): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`{"kind":"${history}","n":${i}}`));
}

const SIZES = [1, 2, 3, 4, 7, 8, 255, 256, 257, 300, 511, 512, 513, 1000];

test('a log that grows gives no alarm, from every size to every larger one', async () => {
  const whole = entries(66_000);
  const log = lyingLog();
  const pairs = [0, ...SIZES].flatMap((older, at) => SIZES.slice(at).map((newer) => [older, newer] as const));
  for (const [older, newer] of [...pairs, [0, 65_537], [255, 65_536], [65_535, 66_000]] as const) {
    using watch = new Watch(log);
    for (const size of [older, newer]) {
      log.show(whole.slice(0, size));
      const { alarms, head, unreached } = await watch.look();
      assert.deepEqual([alarms, head?.size, unreached], [[], size, null], `${older} to ${newer}`);
    }
  }
});

test('a log with another past is a fork, at the same size and at every larger one, and both notes are kept', async () => {
  const whole = entries(1000);
  // One entry that was there is another one now.
  const other = whole.with(0, Buffer.from('another'));
  const log = lyingLog();
  for (const older of SIZES)
    for (const newer of [older, older + 1, 2 * older, 1000].filter((size) => size <= 1000)) {
      using watch = new Watch(log);
      log.show(whole.slice(0, older));
      const [before] = [log.note(), await watch.look()];
      log.show(other.slice(0, newer));
      assert.deepEqual(await watch.kinds(), ['fork'], `${older} to ${newer}`);
      const [kept = ''] = readdirSync(watch.folder).filter((name) => name.includes('fork'));
      const proof = JSON.parse(readFileSync(join(watch.folder, kept), 'utf8'));
      assert.deepEqual([proof.vkey, proof.older, proof.newer], [log.vkey, before, log.note()]);
      // What was signed once stays signed: showing the first history again undoes nothing.
      log.show(whole.slice(0, newer));
      assert.deepEqual(await watch.kinds(), ['fork']);
    }
});

test('a smaller log than was seen is a rollback, and the larger one is what counts', async () => {
  const log = lyingLog();
  using watch = new Watch(log);
  log.show(entries(300));
  await watch.look();
  for (const size of [299, 256, 1, 0]) {
    log.show(entries(size));
    const { alarms, head } = await watch.look();
    assert.deepEqual([alarms.map(({ kind }) => kind), head?.size], [['rollback'], 300]);
  }
  log.show(entries(301));
  assert.deepEqual(await watch.kinds(), []);
});

test('tiles that are missing, misshapen or others prove nothing, and nothing is believed by them', async () => {
  const log = lyingLog();
  const PLANTS: readonly (readonly [what: string, path: string | RegExp, answer: Buffer | null])[] = [
    ['no tiles', /^tile/, null],
    ['one tile missing', 'tile/0/002.p/188', null],
    ['one hash too few', 'tile/0/002.p/188', Buffer.alloc(187 * 32)],
    ['a byte too many', 'tile/0/002.p/188', Buffer.alloc(188 * 32 + 1)],
    ['an empty tile', 'tile/0/002.p/188', Buffer.alloc(0)],
    ['other hashes', 'tile/0/002.p/188', Buffer.alloc(188 * 32)],
    ['other hashes above', 'tile/1/000.p/2', Buffer.alloc(2 * 32)],
    ['a tile without end', /^tile/, Buffer.alloc(1 << 20)],
  ];
  for (const [what, path, answer] of PLANTS) {
    using watch = new Watch(log);
    log.show(entries(300));
    await watch.look();
    log.show(entries(700));
    log.plant(path, answer);
    const { alarms, head } = await watch.look();
    assert.deepEqual([alarms.map(({ kind }) => kind), head?.size], [['unproven'], 300], what);
    log.confess();
    assert.deepEqual(await watch.kinds(), [], what);
  }
});

test('the first checkpoint must have its tiles too, and an empty log the one root that it can have', async () => {
  const log = lyingLog();
  log.show(entries(700));
  log.plant(/^tile/, null);
  using watch = new Watch(log);
  assert.deepEqual(await watch.kinds(), ['unproven']);
  log.confess();
  log.plant('checkpoint', log.note(`${log.origin}\n0\n${Buffer.alloc(32).toString('base64')}\n`));
  assert.deepEqual(await watch.kinds(), ['unproven']);
  log.confess();
  assert.deepEqual(await watch.kinds(), []);
});

test('a partial tile may be gone once the full one is there', async () => {
  const log = lyingLog();
  using watch = new Watch(log);
  log.show(entries(300));
  const note = log.note();
  await watch.look();
  log.show(entries(600));
  log.plant('checkpoint', note);
  log.plant('tile/0/001.p/44', null);
  using fresh = new Watch(log);
  assert.deepEqual(await fresh.kinds(), ['unproven'], 'the tile above has another width too');
  log.plant('tile/1/000.p/1', (await log.read('tile/1/000.p/2', 1 << 20))?.subarray(0, 32) ?? null);
  assert.deepEqual(await fresh.kinds(), []);
});

test('a checkpoint that the key did not sign is an alarm, whatever else it is', async () => {
  const log = lyingLog();
  log.show(entries(3));
  const honest = log.note();
  const stranger = signedLog(log.origin);
  const PLANTS: readonly (readonly [what: string, answer: Buffer | string])[] = [
    ['nothing', ''],
    ['a page', '<html>'],
    ['another key of the same name', stranger.note(honest.split('\n\n')[0] + '\n')],
    ['another size', honest.replace('\n3\n', '\n4\n')],
    ['another log', signedLog('localhost/other').note()],
    ['too much', Buffer.concat([Buffer.from(honest), Buffer.alloc(1 << 20, 'x')])],
    ['no UTF-8', Buffer.from(honest.replace('\n3\n', '\n3\xff\n'), 'latin1')],
    [
      'a size beyond any',
      log.note(`${log.origin}\n18446744073709551615\n${Buffer.alloc(32).toString('base64')}\n`),
    ],
  ];
  for (const [what, answer] of PLANTS) {
    using watch = new Watch(log);
    await watch.look();
    log.plant('checkpoint', answer);
    assert.deepEqual(await watch.kinds(), ['signature'], what);
    log.confess();
    assert.deepEqual(await watch.kinds(), [], what);
  }
});

test('silence is no new checkpoint for longer than told, answered or not', async () => {
  const log = lyingLog();
  const bounds = { silenceMs: 60_000, outcomeMs: null };
  using watch = new Watch(log, { bounds });
  log.show(entries(3));
  assert.deepEqual(await watch.kinds(START), []);
  assert.deepEqual(await watch.kinds(START + 60_000), []);
  assert.deepEqual(await watch.kinds(START + 60_001), ['silence'], 'the same checkpoint again and again');
  log.show(entries(4));
  assert.deepEqual(await watch.kinds(START + 70_000), []);
  const remote = { read: () => Promise.reject(new Fault('unavailable', 'egress.unreachable', 'no answer')) };
  const { alarms, unreached } = await watch.look(START + 100_000, { remote });
  assert.deepEqual([alarms, unreached], [[], 'no answer']);
  assert.deepEqual(await watch.kinds(START + 130_001, { remote }), ['silence']);
  assert.deepEqual(await watch.kinds(START + 130_001, { remote, bounds: NOTHING }), [], 'not told');
  // A log that never answered is counted from the first time that it was asked.
  using never = new Watch(log, { bounds, remote });
  assert.deepEqual(await never.kinds(START), []);
  assert.deepEqual(await never.kinds(START + 60_001), ['silence']);
});

const rid = (n: number): string => `r_${String(n).padStart(26, '0')}`;

function leaf(kind: 'decision' | 'outcome', n: number, more: object = {}): Buffer {
  const c = { in: 'x', req: 'x', res: 'x' };
  const effect = kind === 'decision' ? { effect: 'allow' } : {};
  return Buffer.from(
    JSON.stringify({ v: 1, kind, rid: rid(n), attempt: 1, t: START, ...effect, c, ...more }),
  );
}

test('an allowed decision without its outcome is an alarm after the time told, by our clock or by its own', async () => {
  const log = lyingLog();
  const bounds = { silenceMs: null, outcomeMs: 60_000 };
  using watch = new Watch(log, { bounds });
  const shown = [
    ...entries(300),
    leaf('decision', 1, { t: START + 10 ** 9 }),
    leaf('decision', 2),
    leaf('outcome', 2),
    leaf('decision', 3, { effect: 'deny' }),
  ];
  log.show(shown);
  assert.deepEqual(await watch.kinds(START), []);
  const late = await watch.look(START + 60_001);
  assert.deepEqual(
    late.alarms.map(({ kind, message }) => [kind, message.includes(`${rid(1)}, allowed in entry 300`)]),
    [['outcome', true]],
  );
  assert.deepEqual(await watch.kinds(START + 60_001, { bounds: NOTHING }), [], 'not asked for');
  // An outcome of another attempt is none of this one.
  log.show([...shown, leaf('outcome', 1, { attempt: 2 })]);
  assert.deepEqual(await watch.kinds(START + 60_001), ['outcome']);
  log.show([...shown, leaf('outcome', 1, { attempt: 2 }), leaf('outcome', 1)]);
  assert.deepEqual(await watch.kinds(START + 60_001), []);
  log.show([...shown, leaf('outcome', 1, { attempt: 2 }), leaf('outcome', 1), leaf('decision', 4, { t: 0 })]);
  assert.deepEqual(await watch.kinds(START + 60_001), ['outcome'], 'old by its own word at first sight');
});

test('entries that are missing, cut off, unreadable or not those of the root are an alarm', async () => {
  const bounds = { silenceMs: null, outcomeMs: 60_000 };
  const log = lyingLog();
  const good = entries(300);
  const PLANTS: readonly (readonly [what: string, path: string, answer: Buffer | null])[] = [
    ['missing', 'tile/entries/000', null],
    ['cut off', 'tile/entries/000', Buffer.from([0, 5, 1])],
    ['too few', 'tile/entries/001.p/44', Buffer.from([0, 1, 1])],
    ['too many', 'tile/entries/001.p/44', Buffer.alloc(2 * 45)],
    ['without end', 'tile/entries/001.p/44', Buffer.alloc(1 << 25)],
    ['others', 'tile/entries/001.p/44', Buffer.alloc(2 * 44)],
  ];
  for (const [what, path, answer] of PLANTS) {
    using watch = new Watch(log, { bounds });
    log.show(good);
    log.plant(path, answer);
    assert.deepEqual(await watch.kinds(), ['unproven'], what);
    log.confess();
    assert.deepEqual(await watch.kinds(), [], what);
  }
  const hidden = [
    leaf('decision', 1, { rid: 'x'.repeat(60_000) }),
    leaf('decision', 1, { attempt: '1' }),
    leaf('outcome', 1, { t: -1 }),
  ];
  for (const entry of hidden) {
    using watch = new Watch(log, { bounds });
    log.show([...good, entry]);
    assert.deepEqual(await watch.kinds(), ['unproven'], entry.toString().slice(0, 60));
  }
  using watch = new Watch(log, { bounds });
  log.show([...good, Buffer.from([0xff]), Buffer.from('{"kind":"later"}'), Buffer.from('[]')]);
  assert.deepEqual(await watch.kinds(), [], 'kinds that nobody knows yet');
});

test('the log that an ended log names is followed, and no other that is listed', async () => {
  const log = lyingLog('localhost/liar/00000001');
  const next = lyingLog('localhost/liar/00000002');
  const other = lyingLog('localhost/liar/00000003');
  const ended = { v: 1, kind: 'rotation', event: 'ended', reason: 'scheduled', log: log.origin, t: START };
  const end = Buffer.from(JSON.stringify({ ...ended, id: 'o_1', successor: next.vkey }));
  const logs: Readonly<Record<string, LyingLog>> = { log, next, other };
  let listed = ['log', 'next'];
  let hasEnded = true;
  const remote = {
    async read(path: string, limit: number): Promise<Buffer | null> {
      const [, , name = '', ...rest] = path.split('/');
      if (path !== '/ledger') return (await logs[name]?.read(rest.join('/'), limit)) ?? null;
      const rows = listed.map((id) => ({
        vkey: logs[id]?.vkey,
        url: `/ledger/${id}`,
        ended: id === 'log' && hasEnded,
      }));
      return Buffer.from(JSON.stringify({ logs: rows }));
    },
  };
  const bounds = { silenceMs: 60_000, outcomeMs: 60_000 };
  using watch = new Watch(log, { remote, isOneLog: false, bounds });
  const all = async (now: number, more = {}): Promise<readonly string[]> =>
    (await watch.lookAll(now, more)).flatMap(({ origin, alarms }) =>
      alarms.map(({ kind }) => `${kind} ${origin}`),
    );
  log.show([...entries(300), end, leaf('decision', 9, { effect: 'deny' })]);
  assert.deepEqual(await all(START), ['unknown-log /ledger/next'], 'a log that goes on has no successor');
  using fresh = new Watch(log, { remote, isOneLog: false, bounds });
  log.show([...entries(300), end]);
  const unread = { bounds: { ...bounds, outcomeMs: null } };
  const kinds = async (now: number, more = {}): Promise<readonly string[]> =>
    (await fresh.lookAll(now, more)).flatMap(({ origin, alarms }) =>
      alarms.map(({ kind }) => `${kind} ${origin}`),
    );
  assert.deepEqual(await kinds(START, unread), ['unknown-log /ledger/next'], 'nobody read the last leaf');
  assert.deepEqual(await kinds(START), []);
  next.show(entries(5));
  assert.deepEqual(await kinds(START + 50_000), []);
  // The ended log is silent for good; the one after it is not.
  assert.deepEqual(await kinds(START + 61_000), []);
  assert.deepEqual(await kinds(START + 120_000), ['silence localhost/liar/00000002']);
  hasEnded = false;
  assert.deepEqual(await kinds(START + 70_000), ['silence localhost/liar/00000001'], 'or does it go on?');
  hasEnded = true;
  listed = ['log', 'next', 'other'];
  assert.deepEqual(await kinds(START + 70_000), ['unknown-log /ledger/other']);
  listed = ['log', 'next'];
  next.show(entries(6, 'false'));
  assert.deepEqual(await kinds(START + 70_000), ['fork localhost/liar/00000002']);
});

test('a state that was damaged, changed or is that of another log is refused, each with its way out', async () => {
  const log = lyingLog();
  using watch = new Watch(log);
  log.show(entries(300));
  await watch.look();
  const whole = readFileSync(watch.state, 'utf8');
  const refuses = (text: string): Promise<void> => {
    writeFileSync(watch.state, text);
    return assert.rejects(watch.look(), (thrown) => {
      assert.ok(thrown instanceof Fault);
      assert.equal(thrown.code, 'ledger.monitor_state');
      assert.match(thrown.message, /damaged.*Put back a copy/);
      return true;
    });
  };
  for (let at = 0; at < whole.length - 1; at += 7) {
    const changed = whole[at] === 'A' ? 'B' : 'A';
    await refuses(`${whole.slice(0, at)}${changed}${whole.slice(at + 1)}`);
  }
  for (const text of ['', '{}', 'null', whole.slice(0, -10), '[]', '{"v":1,"logs":[],"sum":""}'])
    await refuses(text);
  writeFileSync(watch.state, whole);
  assert.deepEqual(await watch.kinds(), []);
  const other = lyingLog('localhost/other/0badcafe');
  await assert.rejects(
    watch.look(START, { vkeys: [other.vkey] }),
    /the state is that of localhost\/liar.*--state/,
  );
});

test('a state is one monitor’s at a time, and nothing but the file stays behind', async () => {
  const log = lyingLog();
  using watch = new Watch(log);
  await watch.look();
  {
    using _held = new StateFile(watch.state);
    assert.throws(() => new StateFile(watch.state), /another monitor uses the state .*--state/);
  }
  assert.deepEqual(readdirSync(watch.folder).toSorted(), ['state.json', 'state.json.lock']);
  assert.deepEqual(await watch.kinds(), []);
});
