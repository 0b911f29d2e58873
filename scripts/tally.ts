import path from 'node:path';
import { inspect } from 'node:util';
import { seconds } from './gates.ts';

/** What is read of an event of node:test's runner. */
export interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly name?: string;
    readonly file?: string | undefined;
    readonly message?: string;
    readonly skip?: boolean | string;
    readonly todo?: boolean | string;
    readonly duration_ms?: number;
    readonly details?: { readonly type?: string; readonly duration_ms?: number; readonly error?: Error };
  };
}

interface FileTally {
  passed: number;
  readonly failures: string[];
  readonly notes: string[];
  output: string;
  ms: number;
  /** The file's own process reported its totals, so it did not end early. */
  ended: boolean;
}

const SLOWEST = 10;

/**
 * Counts what a run of node:test did. A file that ends early or runs no test has failed, and a test that was skipped
 * or marked todo has not passed.
 */
export class Tally {
  passed = 0;
  failed = 0;
  readonly #root: string;
  readonly #files = new Map<string, FileTally>();
  readonly #print: (line: string) => void;

  constructor(root: string, files: readonly string[], print: (line: string) => void) {
    this.#root = root;
    this.#print = print;
    for (const file of files) this.#files.set(file, emptyTally());
  }

  take(event: TestEvent): void {
    const { data, type } = event;
    if (data.file === undefined) return;
    const file = this.#file(data.file);
    if (type === 'test:stdout' || type === 'test:stderr') file.output += data.message ?? '';
    else if (type === 'test:diagnostic') file.notes.push(data.message ?? '');
    else if (type === 'test:pass') takePass(file, data);
    else if (type === 'test:fail') takeFailure(file, data);
    else if (type === 'test:complete' && data.name === data.file) file.ms = data.details?.duration_ms ?? 0;
    else if (type === 'test:summary') {
      file.ended = true;
      file.ms = data.duration_ms ?? 0;
      this.#report(path.relative(this.#root, data.file), file);
    }
  }

  /** Prints the files that ended early, what failed after a file's tests, and the slowest files; fixes the totals. */
  finish(): void {
    for (const [name, file] of this.#files) {
      if (!file.ended) file.failures.push('the file ended before its tests did, or holds none');
      if (!file.ended || file.failures.length > 0) this.#report(name, file);
    }
    const slowest = [...this.#files].toSorted(([, a], [, b]) => b.ms - a.ms).slice(0, SLOWEST);
    this.#print('slowest files');
    for (const [name, file] of slowest) this.#print(`  ${seconds(file.ms).padStart(8)}  ${name}`);
  }

  // What was reported is taken out, so that a failure after a file's tests is counted once, when it comes.
  #report(name: string, file: FileTally): void {
    const failures = file.failures.splice(0);
    if (file.passed === 0 && failures.length === 0) failures.push('no test ran');
    this.passed += file.passed;
    this.failed += failures.length;
    const verdict = failures.length === 0 ? 'ok  ' : 'FAIL';
    this.#print(`${verdict} ${name}  ${file.passed} passed  ${seconds(file.ms)}`);
    file.passed = 0;
    for (const note of file.notes.splice(0)) this.#print(`       ${note}`);
    if (failures.length === 0) return;
    for (const failure of failures) this.#print(failure);
    if (file.output !== '') this.#print(`--- output of ${name}\n${file.output}---`);
  }

  #file(absolute: string): FileTally {
    const name = path.relative(this.#root, absolute);
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const made = emptyTally();
    this.#files.set(name, made);
    return made;
  }
}

function emptyTally(): FileTally {
  return { passed: 0, failures: [], notes: [], output: '', ms: 0, ended: false };
}

function takePass(file: FileTally, data: TestEvent['data']): void {
  if (data.name === data.file) return;
  if (isSet(data.skip) || isSet(data.todo))
    file.failures.push(`FAIL ${data.name ?? ''}\nnot run: skipped is not passed`);
  else if (data.details?.type !== 'suite') file.passed += 1;
}

function takeFailure(file: FileTally, data: TestEvent['data']): void {
  const error = data.details?.error;
  // A parent fails because a child did; the child is the one to show.
  if (error !== undefined && 'failureType' in error && error.failureType === 'subtestsFailed') return;
  const cause = error?.cause ?? error;
  file.failures.push(`FAIL ${data.name ?? ''}\n${typeof cause === 'string' ? cause : inspect(cause)}`);
}

// node:test writes `skip: true`, or the reason given; a reason may be the empty string.
function isSet(mark: boolean | string | undefined): boolean {
  return mark !== undefined && mark !== false;
}
