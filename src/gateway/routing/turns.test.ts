import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../core/fault.ts';
import { systemWorld, type World } from '../../core/world.ts';
import { NOTHING_ALLOWED } from '../../policy/endpoints.ts';
import { STRATEGIES, type EndpointDecision, type RoutedModel, type Strategy } from '../../policy/types.ts';
import type { Failed, Turn } from './contender.ts';
import { Router } from './router.ts';
import type { RoutingTerms } from './terms.ts';
import { Turns, type TurnOptions } from './turns.ts';

const TERMS: RoutingTerms = {
  waitMs: 10_000,
  repeats: 2,
  concurrency: 2,
  queue: 1,
  breaker: { failures: 2, pauseMs: 1000 },
  health: { everyMs: 1000, timeoutMs: 1000, failures: 2 },
  endpoints: {},
};
const BROKEN: Failed = { http: null, health: 'bad', mayRepeat: true, hintMs: null };

/** A world whose time passes only by `pass`, which ends the sleeps that are due. */
class Held {
  now = 0;
  slept: number[] = [];
  #sleeps = new Set<{ readonly at: number; readonly wake: () => void }>();
  readonly world: World = {
    ...systemWorld(),
    clock: {
      now: () => this.now,
      elapsed: () => this.now,
      sleep: async (ms, signal) => {
        this.slept.push(ms);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const sleep = { at: this.now + ms, wake: resolve };
        this.#sleeps.add(sleep);
        const left = (): void => reject(new Error('aborted'));
        if (signal?.aborted === true) left();
        signal?.addEventListener('abort', left, { once: true });
        await promise;
      },
    },
    random: { bytes: (length) => Buffer.alloc(length), unit: () => 0.5 },
  };

  async pass(ms: number): Promise<void> {
    this.now += ms;
    for (const sleep of this.#sleeps) if (sleep.at <= this.now && this.#sleeps.delete(sleep)) sleep.wake();
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function decision(endpoint: string): EndpointDecision {
  return {
    endpoint,
    record: 'sha256:0',
    effect: 'allow',
    rules: [],
    reasons: [],
    validUntil: 1e15,
    to: { endpoint, operator: 'o', country: 'JP', posture: 'public', selfDeclared: false, expires: 1 },
  };
}

interface Asked {
  readonly allowed?: readonly string[];
  readonly strategy?: Strategy;
  readonly prepare?: (decision: EndpointDecision) => string;
  readonly client?: TurnOptions<string>['client'];
}

function setUp(terms: Partial<RoutingTerms> = {}): {
  held: Held;
  router: Router;
  readonly ask: (asked?: Asked) => Turns<string>;
} {
  const held = new Held();
  const made = { ...TERMS, ...terms };
  const router = new Router(held.world, () => made);
  const ask = ({
    allowed = ['a/m', 'b/m'],
    strategy = 'order',
    prepare,
    client,
  }: Asked = {}): Turns<string> =>
    new Turns(router, {
      allowed: allowed.map(decision),
      model: model(strategy),
      stream: false,
      client: client ?? { gone: false, signal: () => new AbortController().signal },
      prepare: prepare ?? (({ endpoint }) => endpoint),
    });
  return { held, router, ask };
}

// The endpoints that policy denies are cheaper, heavier and first.
function model(strategy: Strategy): RoutedModel {
  const from = ['x/m', 'y/m', 'a/m', 'b/m'].map((id, i) => ({
    endpoint: {
      id,
      provider: id.slice(0, 1),
      kind: 'openai',
      upstream: 'm',
      accepts: 3 as const,
      secret: null,
      apiVersion: null,
      body: NOTHING_ALLOWED,
      price: { in: i, out: i },
      network: null,
      ownMachine: false,
      record: null,
      recordDigest: '',
    },
    weight: 1000 - i,
  }));
  return { name: 'chat', strategy, floor: { conf: 1, categories: [] }, from };
}

async function placed(turn: Promise<Turn<string> | null>): Promise<Turn<string>> {
  const got = await turn;
  assert.ok(got !== null);
  return got;
}

test('no strategy ever brings in an endpoint that policy denied', async () => {
  for (const strategy of STRATEGIES) {
    const { held, ask } = setUp({ concurrency: 1, queue: 0, repeats: 3 });
    for (let round = 0; round < 50; round++) {
      const turns = ask({ strategy });
      for (let turn = await turns.first(); turn !== null && turn.refusal === null;) {
        assert.match(turn.decision.endpoint, /^[ab]\/m$/);
        turn.failed({ ...BROKEN, health: 'neither' });
        const next = turns.next();
        await settled();
        await held.pass(2000);
        turn = await next;
      }
      await held.pass(10_000);
    }
  }
});

test('after a failure the other endpoints are asked at once, and then the same again after a wait', async () => {
  const { held, ask } = setUp({ breaker: { failures: 99, pauseMs: 1 } });
  const turns = ask();
  const asked: string[] = [];
  let turn = await placed(turns.first());
  for (let i = 0; i < 3; i++) {
    asked.push(turn.decision.endpoint);
    turn.failed(BROKEN);
    const next = turns.next();
    await settled();
    await held.pass(i === 0 ? 0 : 50);
    turn = await placed(next);
  }
  asked.push(turn.decision.endpoint);
  assert.deepEqual(asked, ['a/m', 'b/m', 'a/m', 'b/m']);
  turn.failed(BROKEN);
  assert.equal(await turns.next(), null, 'two repeats are all');
  assert.deepEqual(held.slept, [50, 0], 'half of the bound for the first, and the other has waited as long');
});

test('what a provider asks for is waited for, and what it asks beyond the bound ends the request', async () => {
  const { held, ask } = setUp();
  const turns = ask({ allowed: ['a/m'] });
  const turn = await placed(turns.first());
  turn.failed({ ...BROKEN, health: 'neither', http: 429, hintMs: 4000 });
  const next = turns.next();
  await settled();
  assert.deepEqual(held.slept, [4200]);
  await held.pass(4199);
  await held.pass(1);
  const again = await placed(next);
  again.failed({ ...BROKEN, health: 'neither', http: 429, hintMs: 9000 });
  assert.equal(await turns.next(), null);
});

test('a failure that may not be repeated is not', async () => {
  const { ask } = setUp();
  const turns = ask({ allowed: ['a/m'] });
  (await placed(turns.first())).failed({ ...BROKEN, mayRepeat: false });
  assert.equal(await turns.next(), null);
});

test('an endpoint that failed in a row is left alone, then tried by one, then asked as before', async () => {
  const { held, router, ask } = setUp({ repeats: 0 });
  for (let i = 0; i < 2; i++) (await placed(ask({ allowed: ['a/m'] }).first())).failed(BROKEN);
  const refused = await placed(ask({ allowed: ['a/m'] }).first());
  assert.equal(refused.refusal?.code, 'gateway.no_eligible_endpoint');
  assert.equal(refused.refusal.details['retryAfterMs'], 1000);
  refused.failed({ ...BROKEN, mayRepeat: false });
  assert.equal((await placed(ask().first())).decision.endpoint, 'b/m', 'others are asked meanwhile');
  await held.pass(1000);
  const probe = await placed(ask({ allowed: ['a/m'] }).first());
  assert.equal(probe.refusal, null);
  const beside = await placed(ask({ allowed: ['a/m'] }).first());
  assert.equal(beside.refusal?.code, 'gateway.no_eligible_endpoint');
  probe.done();
  assert.equal(router.gate('a/m').broken, false);
  assert.equal((await placed(ask({ allowed: ['a/m'] }).first())).refusal, null);
  assert.equal(router.gate('a/m').inside, 1, 'a turn that was refused holds no place');
});

test('the first piece of a stream is enough for a probe', async () => {
  const { held, router, ask } = setUp({ breaker: { failures: 1, pauseMs: 1000 } });
  (await placed(ask({ allowed: ['a/m'] }).first())).failed({ ...BROKEN, mayRepeat: false });
  await held.pass(1000);
  const probe = await placed(ask({ allowed: ['a/m'] }).first());
  probe.begun();
  assert.equal((await placed(ask({ allowed: ['a/m'] }).first())).refusal, null);
  probe.done();
  assert.equal(router.gate('a/m').inside, 1);
});

test('an endpoint that limits comes last while it rests, and is asked when there is no other', async () => {
  const { held, ask } = setUp();
  const limited = { http: 429, health: 'neither', mayRepeat: false, hintMs: 3000 } as const;
  (await placed(ask().first())).failed(limited);
  assert.equal((await placed(ask().first())).decision.endpoint, 'b/m');
  assert.equal((await placed(ask({ allowed: ['a/m'] }).first())).decision.endpoint, 'a/m');
  await held.pass(3000);
  assert.equal((await placed(ask().first())).decision.endpoint, 'a/m');
});

test('who finds no place waits for one in order, a full queue refuses, and a place is never taken twice', async () => {
  const { held, router, ask } = setUp({ queue: 2 });
  const one = { allowed: ['a/m'] };
  const inside = [await placed(ask(one).first()), await placed(ask(one).first())];
  const waiting = [ask(one).first(), ask(one).first()];
  await settled();
  assert.deepEqual([router.gate('a/m').inside, router.gate('a/m').waiting], [2, 2]);
  const refused = await placed(ask(one).first());
  assert.equal(refused.refusal?.code, 'gateway.overloaded');
  inside[0]?.done();
  const first = await placed(waiting[0] ?? Promise.resolve(null));
  await settled();
  assert.deepEqual([router.gate('a/m').inside, router.gate('a/m').waiting], [2, 1]);
  await held.pass(10_000);
  const late = await placed(waiting[1] ?? Promise.resolve(null));
  assert.equal(late.refusal?.code, 'gateway.overloaded', 'who waits too long is refused');
  first.done();
  inside[1]?.done();
  late.left();
  assert.deepEqual([router.gate('a/m').inside, router.gate('a/m').waiting], [0, 0]);
});

test('a full endpoint is passed over while another has a place', async () => {
  const { ask } = setUp({ endpoints: { 'a/m': { concurrency: 1 } } });
  assert.equal((await placed(ask().first())).decision.endpoint, 'a/m');
  assert.equal((await placed(ask().first())).decision.endpoint, 'b/m');
});

test('who waits for a place at an endpoint that breaks meanwhile is refused, and the place is free', async () => {
  const { router, ask } = setUp({ concurrency: 1, breaker: { failures: 1, pauseMs: 1000 } });
  const one = { allowed: ['a/m'] };
  const inside = await placed(ask(one).first());
  const waiting = ask(one).first();
  await settled();
  inside.failed({ ...BROKEN, mayRepeat: false });
  assert.equal((await placed(waiting)).refusal?.code, 'gateway.no_eligible_endpoint');
  assert.equal(router.gate('a/m').inside, 0);
});

test('a client that leaves while it waits gives up its place in the queue', async () => {
  const { router, ask } = setUp({ concurrency: 1 });
  const one = { allowed: ['a/m'] };
  const inside = await placed(ask(one).first());
  const leave = new AbortController();
  const client = { gone: false, signal: () => leave.signal };
  const waiting = ask({ ...one, client }).first();
  await settled();
  client.gone = true;
  leave.abort();
  assert.equal(await waiting, null);
  assert.equal(router.gate('a/m').waiting, 0);
  inside.done();
  assert.equal(router.gate('a/m').inside, 0);
});

test('an endpoint that cannot honour the request is passed over, and when none can its reason is told', async () => {
  const { router, ask } = setUp();
  const cannot =
    (which: RegExp) =>
    (one: EndpointDecision): string => {
      if (which.test(one.endpoint)) throw new Fault('invalid', 'gateway.unsupported_parameter', one.endpoint);
      return one.endpoint;
    };
  const turn = await placed(ask({ prepare: cannot(/^a/) }).first());
  assert.equal(turn.prepared, 'b/m');
  await assert.rejects(ask({ prepare: cannot(/./) }).first(), { message: 'a/m' });
  assert.equal(router.gate('a/m').inside, 0);
});

test('limits that were raised while requests wait let them in', async () => {
  const held = new Held();
  let terms: RoutingTerms = { ...TERMS, concurrency: 1, queue: 9 };
  const router = new Router(held.world, () => terms);
  const gate = router.gate('a/m');
  gate.enter(0);
  const { signal } = new AbortController();
  const waiting = [1, 2, 3].map(async () => gate.queue(1000, signal));
  terms = { ...terms, concurrency: 3 };
  gate.leave({ probe: false, health: 'good' }, 0);
  await Promise.all(waiting);
  assert.deepEqual([gate.inside, gate.waiting], [3, 0]);
});
