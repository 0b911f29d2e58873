import { glob } from 'node:fs/promises';
import path from 'node:path';
import { run } from 'node:test';
import { Tally } from './tally.ts';
import type { TestEvent } from './tally.ts';

const CONCURRENCY = 2;
const SHORT_LIMIT_MS = 10 * 60_000;
const LONG_LIMIT_MS = 60 * 60_000;

export interface SuiteChoice {
  readonly long: boolean;
  /** Parts of paths; empty means every file. */
  readonly only: readonly string[];
}

/** The test files of the repository that the choice names, sorted. */
export async function testFiles(root: string, choice: SuiteChoice): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const file of glob(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })) found.push(file);
  return found
    .filter((file) => file.endsWith('.long.test.ts') === choice.long)
    .filter((file) => choice.only.length === 0 || choice.only.some((part) => file.includes(part)))
    .toSorted();
}

/** Runs the files, two processes at a time, and prints each as it ends, failures with all their output. */
export async function runSuite(
  root: string,
  files: readonly string[],
  options: { readonly long: boolean; print(line: string): void },
): Promise<Tally> {
  const tally = new Tally(root, files, (line) => options.print(line));
  const events = run({
    files: files.map((file) => path.join(root, file)),
    concurrency: CONCURRENCY,
    isolation: 'process',
    timeout: options.long ? LONG_LIMIT_MS : SHORT_LIMIT_MS,
    cwd: root,
  });
  for await (const event of events) {
    // The runner's own type names fewer members than the events of another process carry.
    const taken = event as TestEvent;
    tally.take(taken);
    // What runs for an hour tells how far it is.
    if (options.long && taken.type === 'test:stderr') options.print(String(taken.data.message).trimEnd());
  }
  tally.finish();
  return tally;
}
