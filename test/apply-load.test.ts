import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bundleHash } from '../src/policy/bundle.ts';
import type { Bundle } from '../src/policy/types.ts';
import { after, applied, decisionsOf, firstSigner, runningOf } from './support/bundles.ts';
import { until } from './support/observe.ts';
import { startProvider } from './support/provider.ts';
import { chat, chatBody, oneModel, type Asked } from './support/road.ts';
import { startSite, type Site } from './support/site.ts';

const PER_SECOND = 500;
const LEAST = 1_500;
/** More than this many at once would be refused as too many, which is no matter of bundles. */
const MOST_OPEN = 512;
const CHANGES = 4;

test('policy changes under 500 requests a second lose none, and no bundle decides after its successor’s leaf', async (t) => {
  await using provider = await startProvider();
  await using site = await startSite({ governance: oneModel([{ id: 'home', provider }]) });
  const signer = firstSigner(site);
  const bundles = [await runningOf(site)];
  await chat(site, chatBody('warm'));
  const began = performance.now();
  const load = new Load(site);
  for (let i = 1; i <= CHANGES; i++) {
    await until(() => load.asked.length >= (i * LEAST) / (CHANGES + 1), 'requests arrive', 60_000);
    bundles.push(await applied(site, following(bundles, i), signer));
  }
  const changed = load.asked.length;
  await until(
    () => load.asked.length >= Math.max(LEAST, changed + PER_SECOND / 5),
    'requests arrive',
    60_000,
  );
  const asked = await load.end();
  const seconds = (performance.now() - began) / 1000;
  t.diagnostic(`${asked.length} requests in ${seconds.toFixed(1)} s`);
  // What a busy machine makes of 500 a second is printed; below this it was no load.
  assert.ok(asked.length / seconds > PER_SECOND * 0.3, `${asked.length} requests took ${seconds} s`);
  assert.deepEqual(
    asked.filter(({ status, broken }) => status !== 200 || broken).map(({ text }) => text),
    [],
  );

  let decisions = await decisionsOf(site);
  const all = async (): Promise<boolean> => (decisions = await decisionsOf(site)).length > asked.length;
  await until(all, 'the checkpoint covers every decision');
  assert.equal(decisions.length, asked.length + 1);
  for (const { by, runs } of decisions) assert.equal(by, runs);
  assert.deepEqual(new Set(decisions.map(({ by }) => by)), new Set(bundles.map(bundleHash)));
});

/** Requests that arrive at their times, whether or not earlier ones have been answered, until the end is called. */
class Load {
  readonly asked: Promise<Asked>[] = [];
  readonly #over: Promise<void>;
  #ended = false;
  #open = 0;

  constructor(site: Site) {
    this.#over = this.#arrive(site);
  }

  async end(): Promise<readonly Asked[]> {
    this.#ended = true;
    await this.#over;
    return Promise.all(this.asked);
  }

  #ask(site: Site): void {
    this.#open += 1;
    const asked = chat(site, chatBody('hello'));
    void asked.finally(() => (this.#open -= 1)).catch(() => {});
    this.asked.push(asked);
  }

  async #arrive(site: Site): Promise<void> {
    const began = performance.now();
    while (!this.#ended) {
      const due = ((performance.now() - began) / 1000) * PER_SECOND;
      while (this.asked.length < due && this.#open < MOST_OPEN) this.#ask(site);
      await delay(2);
    }
  }
}

function following(bundles: readonly Bundle[], i: number): Bundle {
  const last = bundles.at(-1);
  assert.ok(last !== undefined);
  return after(last, { policies: { [`own-${i}`]: 'permit (principal, action, resource) when { false };' } });
}
