import assert from 'node:assert/strict';
import { test } from 'node:test';
import { egressWithout, refused } from '../../test/support/egress.ts';
import { httpSide, type FarSide } from '../../test/support/far-side.ts';
import { diskError, plantedDisk, steppedWorld, testSite } from '../../test/support/ledger-site.ts';
import { HOUR, MINUTE } from '../core/duration.ts';
import type { EgressOptions } from '../egress/egress.ts';
import type { Ledger, SiteEvent } from '../ledger/types.ts';
import { BundleGate } from './bundle-gate.ts';
import { ControlRoad, type ControlAsked, type ControlDestination } from './control.ts';

const BUNDLE = `sha256:${'0'.repeat(64)}`;
const NOON = Date.UTC(2026, 3, 1, 12);

interface Setting {
  readonly far: FarSide;
  readonly ledger: Ledger;
  /** What was appended. */
  readonly leaves: SiteEvent[];
  readonly gate: BundleGate;
  readonly road: ControlRoad;
  readonly world: ReturnType<typeof steppedWorld>;
  /** How many leaves were durable when each request arrived. */
  readonly durableThen: number[];
  readonly failDisk: (fails: boolean) => void;
}

async function withRoad(
  act: (setting: Setting) => Promise<void>,
  options: Partial<EgressOptions> & { readonly answer?: string } = {},
): Promise<void> {
  await using site = testSite();
  const world = steppedWorld(NOON);
  let fails = false;
  const io = plantedDisk((did, path) => {
    if (fails && did === 'datasync' && path.includes('/wal/')) throw diskError('EIO');
  });
  const ledger = await site.open({ world, io });
  const durableThen: number[] = [];
  await using far = await httpSide((asked, reply) => {
    asked.resume();
    durableThen.push(ledger.size());
    reply.end(options.answer ?? '{}');
  });
  await using egress = egressWithout([], options);
  const gate = new BundleGate(BUNDLE);
  const leaves: SiteEvent[] = [];
  const appendSite = async (leaf: SiteEvent): Promise<number> => {
    const index = await ledger.appendSite(leaf);
    leaves.push(leaf);
    return index;
  };
  const road = new ControlRoad({ ledger: { time: () => ledger.time(), appendSite }, egress, gate, world });
  await act({ far, ledger, leaves, gate, road, world, durableThen, failDisk: (now) => (fails = now) });
}

function destination(far: FarSide, more: Partial<ControlDestination> = {}): ControlDestination {
  return {
    name: 'health:jp-a',
    network: {
      url: `http://127.0.0.1:${far.port}/v1`,
      hosts: ['127.0.0.1'],
      addresses: ['127.0.0.0/8'],
      pins: [],
      issuer: null,
      proxy: null,
    },
    sends: { method: 'GET', path: '/v1/models', maxBytes: 0 },
    to: { operator: 'JP A', country: 'JP' },
    expires: NOON + 90 * MINUTE,
    ...more,
  };
}

const ASKED: ControlAsked = {
  headers: { authorization: 'Bearer k' },
  body: null,
  maxAnswer: 1024,
  timeoutMs: 2000,
  signal: new AbortController().signal,
};

test('the decision is durable before the first byte, stands for an hour, and ends with the record', async () => {
  await withRoad(async ({ far, ledger, leaves, road, world, durableThen }) => {
    const place = destination(far);
    const ask = (): Promise<unknown> => road.ask(place, BUNDLE, ASKED);
    const before = ledger.size();
    const [answer] = await Promise.all([road.ask(place, BUNDLE, ASKED), ask(), ask()]);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), '{}');
    assert.deepEqual(durableThen, [before + 1, before + 1, before + 1]);
    assert.equal(ledger.size(), before + 1, 'one leaf for all that came at once');
    world.advance(HOUR - 1);
    await ask();
    assert.equal(ledger.size(), before + 1, 'within the hour');
    world.advance(1);
    await ask();
    assert.equal(ledger.size(), before + 2, 'after the hour');
    assert.equal(durableThen.at(-1), before + 2);

    world.advance(30 * MINUTE);
    await assert.rejects(ask(), { code: 'crossing.control_expired', kind: 'denied' });
    assert.equal(ledger.size(), before + 2);
    assert.equal(durableThen.length, 5);

    const [first] = leaves;
    assert.deepEqual(
      { ...first, id: null },
      {
        kind: 'control',
        id: null,
        event: 'destination',
        bundle: BUNDLE,
        destination: 'health:jp-a',
        origin: `http://127.0.0.1:${far.port}`,
        method: 'GET',
        path: '/v1/models',
        maxBytes: 0,
        to: { operator: 'JP A', country: 'JP' },
        until: NOON + HOUR,
      },
    );
  });
});

test('what cannot be recorded is not sent, and is recorded anew once it can be', async () => {
  await withRoad(async ({ far, ledger, road, failDisk, durableThen }) => {
    const ask = (): Promise<unknown> => road.ask(destination(far), BUNDLE, ASKED);
    failDisk(true);
    const all = await Promise.allSettled([ask(), ask()]);
    for (const one of all) assert.equal(one.status, 'rejected');
    await assert.rejects(ask(), { kind: 'unavailable' });
    assert.equal(far.connections(), 0);
    failDisk(false);
    for (let tries = 0; ledger.trouble() !== null && tries < 1000; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await ask().catch(() => {});
    }
    await ask();
    assert.ok(durableThen.length > 0);
  });
});

test('a bundle that decides no more sends nothing', async () => {
  await withRoad(async ({ far, ledger, road, gate }) => {
    await road.ask(destination(far), BUNDLE, ASKED);
    const before = ledger.size();
    await gate.shut();
    await assert.rejects(road.ask(destination(far), BUNDLE, ASKED), { code: 'crossing.bundle_changed' });
    gate.open('sha256:next');
    await assert.rejects(road.ask(destination(far), BUNDLE, ASKED), { code: 'crossing.bundle_changed' });
    assert.equal(ledger.size(), before);
    await road.ask(destination(far), 'sha256:next', ASKED);
    assert.equal(ledger.size(), before + 1, 'the next bundle has a decision of its own');
  });
});

test('another body than the declared one, a silent and an endless far side are refused', async () => {
  await withRoad(
    async ({ far, road, durableThen }) => {
      const ask = (more: Partial<ControlAsked>, place = destination(far)): Promise<string> =>
        refused(() => road.ask(place, BUNDLE, { ...ASKED, ...more }));
      const prompt = Buffer.from('CANARY');
      assert.equal(await ask({ body: prompt }), 'egress.denied:permit');
      const post = destination(far, {
        name: 'health:post',
        sends: { method: 'POST', path: '/add', maxBytes: 5 },
      });
      assert.equal(await ask({ body: prompt }, post), 'egress.denied:permit');
      assert.equal(far.bytes(), 0);
      assert.equal(await ask({ body: prompt.subarray(0, 5) }, post), 'nothing');
      assert.equal(durableThen.length, 1);
      assert.equal(await ask({ maxAnswer: 1 }), 'egress.garbage');
      assert.equal(await ask({ signal: AbortSignal.abort() }), 'egress.interrupted');
    },
    { answer: 'ok' },
  );
});

test('a disconnected site speaks to nobody outside the building', async () => {
  await withRoad(
    async ({ far, road }) => {
      const network = { ...destination(far).network, url: 'https://203.0.113.9', hosts: ['203.0.113.9'] };
      const outside = { ...network, addresses: ['203.0.113.0/24'], issuer: `sha256:${'0'.repeat(64)}` };
      const place = destination(far, { network: outside });
      assert.equal(await refused(() => road.ask(place, BUNDLE, ASKED)), 'egress.denied:posture');
    },
    { posture: () => 'disconnected' },
  );
});
