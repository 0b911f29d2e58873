import { Worker } from 'node:worker_threads';

import { Fault } from '../core/fault.ts';
import { sqliteFault } from './sqlite-fault.ts';
import type {
  StatementResult,
  WorkerReplies,
  WorkerReply,
  WorkerRequest,
  WorkerStart,
} from './sqlite-protocol.ts';

/** A request before the link gave it its number. */
export type LinkRequest = WorkerRequest extends infer R
  ? R extends WorkerRequest
    ? Omit<R, 'id'>
    : never
  : never;

interface Waiter {
  resolve(result: StatementResult): void;
  reject(fault: Fault): void;
}

// The worker lies beside this file, compiled when this one is; the compiler rewrites imports, not URLs.
const WORKER = import.meta.url.endsWith('.ts')
  ? new URL('./sqlite-worker.ts', import.meta.url)
  : new URL('./sqlite-worker.js', import.meta.url);

/**
 * The worker that holds the database file. A worker that ends rejects what it has not answered with Fault
 * `storage.unavailable` (done or not, nobody knows) and the next request starts another.
 */
export class SqliteLink {
  readonly #start: WorkerStart;
  #line: Line | null = null;
  #closed = false;

  constructor(start: WorkerStart) {
    this.#start = start;
  }

  request(request: LinkRequest): Promise<StatementResult> {
    if (this.#closed) return Promise.reject(unavailable('the database is closed'));
    this.#line ??= new Line(this.#start, (line) => {
      if (this.#line === line) this.#line = null;
    });
    return this.#line.ask(request);
  }

  /** Ends the worker after all it was asked before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#line?.ask({ op: 'close' });
  }
}

/** One worker's life. */
class Line {
  readonly #worker: Worker;
  readonly #onLast: (line: Line) => void;
  readonly #waiters = new Map<number, Waiter>();
  #outgoing: WorkerRequest[] = [];
  #lastId = 0;

  constructor(start: WorkerStart, onLast: (line: Line) => void) {
    this.#onLast = onLast;
    this.#worker = new Worker(WORKER, { workerData: start, env: {}, name: 'sqlite' });
    let reason = 'the database worker ended';
    this.#worker.on('message', (message: WorkerReplies) => this.#receive(message));
    this.#worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : reason;
    });
    this.#worker.on('exit', () => this.#bury(reason));
  }

  ask(request: LinkRequest): Promise<StatementResult> {
    const { promise, resolve, reject } = Promise.withResolvers<StatementResult>();
    const id = ++this.#lastId;
    if (this.#waiters.size === 0) this.#worker.ref();
    this.#waiters.set(id, { resolve, reject });
    // One message carries all that is asked before the current stack of microtasks ends.
    if (this.#outgoing.push({ ...request, id }) === 1) queueMicrotask(() => this.#post());
    return promise;
  }

  #post(): void {
    const requests = this.#outgoing;
    this.#outgoing = [];
    this.#worker.postMessage(requests, []);
  }

  #receive({ replies, last }: WorkerReplies): void {
    if (last) this.#onLast(this);
    for (const reply of replies) this.#settle(reply);
    // An idle worker keeps no process alive.
    if (this.#waiters.size === 0) this.#worker.unref();
  }

  #settle(reply: WorkerReply): void {
    const waiter = this.#waiters.get(reply.id);
    this.#waiters.delete(reply.id);
    if ('result' in reply) waiter?.resolve(reply.result);
    else waiter?.reject(sqliteFault(reply.failure));
  }

  #bury(reason: string): void {
    this.#onLast(this);
    for (const waiter of this.#waiters.values()) waiter.reject(unavailable(reason));
    this.#waiters.clear();
  }
}

function unavailable(why: string): Fault {
  return new Fault('unavailable', 'storage.unavailable', why);
}
