import { systemWorld } from '../core/world.ts';
import { CASES } from './catalogue.ts';
import type { RunFacts } from './report/summary.ts';
import { runSuite } from './suite.ts';
import { leakyTarget } from './target/leaky.ts';
import { remoteTarget } from './target/remote.ts';
import { sekishoTarget } from './target/sekisho.ts';
import type { Result } from './case.ts';
import type { Target } from './types.ts';
import { openWorld } from './world/world.ts';

/** Whom to test. */
export type Against =
  | { readonly kind: 'self'; readonly program: string; readonly searchPath: string }
  | { readonly kind: 'leaky' }
  | { readonly kind: 'remote'; readonly url: string; readonly headers: Readonly<Record<string, string>> };

export interface RunOptions {
  readonly against: Against;
  /** Of the far sides; 0 takes a free one. */
  readonly port: number;
  /** Ids of cases; empty runs all. */
  readonly only: readonly string[];
  readonly suite: string;
  readonly signal: AbortSignal;
  onResult(result: Result): void;
}

/**
 * Runs the escape suite.
 * @throws Fault `leaktest.world` when the loopback addresses cannot be had.
 */
export async function leakTest(
  options: RunOptions,
): Promise<{ readonly results: readonly Result[]; readonly facts: RunFacts }> {
  const world = systemWorld();
  const target = targetOf(options.against);
  const facts = { target: target.name, suite: options.suite, at: world.clock.now() };
  await using far = await openWorld(options.port);
  const cases = CASES.filter(({ id }) => options.only.length === 0 || options.only.includes(id));
  return { facts, results: await runSuite({ ...options, cases, target, far, world }) };
}

/** The ids of all cases. */
export function caseIds(): readonly string[] {
  return CASES.map(({ id }) => id);
}

function targetOf(against: Against): Target {
  if (against.kind === 'self') return sekishoTarget(against);
  return against.kind === 'leaky' ? leakyTarget : remoteTarget(against.url, against.headers);
}
