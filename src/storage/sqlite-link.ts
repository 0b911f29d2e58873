import { Worker } from 'node:worker_threads';

import { Fault } from '../core/fault.ts';
import { sqliteFault } from './sqlite-fault.ts';
import type { StatementResult, WorkerReply, WorkerRequest, WorkerStart } from './sqlite-protocol.ts';

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
 * The worker that holds the database file. A worker that dies rejects what it was asked with Fault
 * `storage.unavailable` (done or not, nobody knows) and the next request starts another.
 */
export class SqliteLink {
  readonly #start: WorkerStart;
  readonly #waiters = new Map<number, Waiter>();
  #worker: Worker | null = null;
  #outgoing: WorkerRequest[] = [];
  #lastId = 0;
  #closed = false;

  constructor(start: WorkerStart) {
    this.#start = start;
  }

  request(request: LinkRequest): Promise<StatementResult> {
    if (this.#closed) return Promise.reject(unavailable('the database is closed'));
    return this.#ask(request);
  }

  /** Ends the worker after all it was asked before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#worker !== null) await this.#ask({ op: 'close' });
  }

  #ask(request: LinkRequest): Promise<StatementResult> {
    const { promise, resolve, reject } = Promise.withResolvers<StatementResult>();
    const id = ++this.#lastId;
    const worker = (this.#worker ??= this.#startWorker());
    if (this.#waiters.size === 0) worker.ref();
    this.#waiters.set(id, { resolve, reject });
    // One message carries all that is asked before the current stack of microtasks ends.
    if (this.#outgoing.push({ ...request, id }) === 1) queueMicrotask(() => this.#post());
    return promise;
  }

  #post(): void {
    const requests = this.#outgoing;
    this.#outgoing = [];
    this.#worker?.postMessage(requests);
  }

  #startWorker(): Worker {
    const worker = new Worker(WORKER, { workerData: this.#start, env: {}, name: 'sqlite' });
    let reason = 'the database worker ended';
    worker.on('message', (replies: readonly WorkerReply[]) => {
      for (const reply of replies) this.#settle(reply);
      if (this.#waiters.size === 0) worker.unref();
    });
    worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : reason;
    });
    worker.on('exit', () => this.#buried(worker, reason));
    return worker;
  }

  #settle(reply: WorkerReply): void {
    const waiter = this.#waiters.get(reply.id);
    this.#waiters.delete(reply.id);
    if ('result' in reply) waiter?.resolve(reply.result);
    else waiter?.reject(sqliteFault(reply.failure));
  }

  #buried(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#outgoing = [];
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.reject(unavailable(reason));
  }
}

function unavailable(why: string): Fault {
  return new Fault('unavailable', 'storage.unavailable', why);
}
