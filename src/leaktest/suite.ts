import { toFault } from '../core/fault.ts';
import type { World } from '../core/world.ts';
import { filesWith, newCanary, type Canary } from './canary.ts';
import { Stage } from './stage.ts';
import type { Case, Result } from './case.ts';
import type { Gateway, Scene, Target, Text } from './types.ts';
import type { LeakWorld } from './world/world.ts';

export interface SuiteOptions {
  readonly cases: readonly Case[];
  readonly target: Target;
  readonly far: LeakWorld;
  readonly world: World;
  readonly signal: AbortSignal;
  onResult(result: Result): void;
}

/** Late packets and closing sockets show themselves within this time, in ms. */
const SETTLE = 100;

const NOT_CONFIGURABLE: Text = {
  ja: 'この試験は対象を設定できる場合にだけ行える',
  en: 'needs a target that the suite configures and starts itself',
};

/** Tries every case in turn; scenes that several cases share run once, and are searched for canaries at the end. */
export async function runSuite(options: SuiteOptions): Promise<readonly Result[]> {
  const results: Result[] = [];
  const kept = new Kept(options.target);
  try {
    for (const one of options.cases) {
      if (options.signal.aborted) break;
      const result = await runCase(one, kept, options);
      results.push(result);
      options.onResult(result);
    }
  } finally {
    await kept.close();
  }
  return results;
}

async function runCase(one: Case, kept: Kept, options: SuiteOptions): Promise<Result> {
  const { target, far, world } = options;
  const result: Result = { case: one, outcome: 'pass', reason: null, findings: [], attempts: 0, ms: 0 };
  const idle = (reason: Text): Result => ({ ...result, outcome: 'not-applicable', reason });
  if (typeof one.run !== 'function') return idle(one.run);
  if (one.configures && !target.configurable) return idle(NOT_CONFIGURABLE);
  const began = world.clock.elapsed();
  const canary = newCanary(world.random);
  const own: Gateway[] = [];
  const open = async (scene: Scene): Promise<Gateway> => {
    if (scene.id === 'common') return kept.common(scene);
    const gateway = await target.open(scene);
    own.push(gateway);
    return gateway;
  };
  far.reset();
  const stage = new Stage({ world: far, canary, clock: world.clock, open });
  try {
    await one.run(stage);
    await world.clock.sleep(SETTLE);
    judge(stage, far);
    for (const gateway of [...own, ...kept.running()]) await search(stage, canary, gateway);
  } catch (thrown) {
    const { message } = toFault(thrown);
    result.outcome = 'suite-error';
    result.reason = { ja: message, en: message };
  } finally {
    for (const gateway of own) await gateway[Symbol.asyncDispose]();
  }
  result.findings.push(...stage.findings);
  // A leak that was seen stands, whatever broke afterwards.
  if (result.findings.length > 0) result.outcome = 'fail';
  return { ...result, attempts: stage.attempts, ms: Math.round(world.clock.elapsed() - began) };
}

/** The rule of every case: what is forbidden saw no connection and no byte, and no name was asked for in vain. */
function judge(stage: Stage, far: LeakWorld): void {
  for (const sink of far.forbidden)
    if (sink.connections > 0)
      stage.leak(
        `${sink.name} saw ${sink.connections} connections, ${sink.bytes} bytes, ${sink.requests.length} requests`,
      );
  if (far.rogue.requests.length > 0) stage.leak('a far side with a certificate of its own got a request');
  const asked = [...new Set(far.dns.questions)].filter((question) => !stage.mayAsk.has(question));
  if (asked.length > 0) stage.leak(`the name server was asked ${asked.join(', ')}`);
}

async function search(stage: Stage, canary: Canary, gateway: Gateway): Promise<void> {
  stage.free(gateway.output(), 'what the gateway printed');
  stage.free(await gateway.metrics(), 'its metrics');
  if (gateway.folder === null) return;
  for (const file of await filesWith(canary.word, gateway.folder)) stage.leak(`the canary lies in ${file}`);
}

/** The gateway of the scene that most cases share. */
class Kept {
  readonly #target: Target;
  #common: Promise<Gateway> | null = null;
  #running: Gateway | null = null;

  constructor(target: Target) {
    this.#target = target;
  }

  async common(scene: Scene): Promise<Gateway> {
    this.#common ??= this.#target.open(scene);
    this.#running = await this.#common;
    return this.#running;
  }

  running(): readonly Gateway[] {
    return this.#running === null ? [] : [this.#running];
  }

  async close(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
  }
}
