import { parentPort, workerData } from 'node:worker_threads';

import { primaryCode, SESSION_OVER, SQLITE_IOERR } from './sqlite-fault.ts';
import { SqliteEngine, toFailure } from './sqlite-engine.ts';
import {
  NO_RESULT,
  type SqliteFailure,
  type StatementResult,
  type WorkerReplies,
  type WorkerReply,
  type WorkerRequest,
  type WorkerStart,
} from './sqlite-protocol.ts';

type WriteRequest = Extract<WorkerRequest, { op: 'write' }>;
type ScrubRequest = Extract<WorkerRequest, { op: 'scrub' }>;
type BeginRequest = Extract<WorkerRequest, { op: 'begin' | 'commit' | 'rollback' }>;

/**
 * Serves requests in the order they came. Statements that arrive in one turn share one transaction and one sync, and
 * none is answered before its COMMIT returned; an interactive transaction holds the writer alone. Reads see committed
 * state through a connection of their own and wait for nobody.
 */
class Desk {
  readonly #start: WorkerStart;
  readonly #send: (message: WorkerReplies) => void;
  readonly #writer: SqliteEngine;
  readonly #reader: SqliteEngine;
  #waiting: (WriteRequest | BeginRequest | ScrubRequest)[] = [];
  #replies: WorkerReply[] = [];
  #scheduled = false;
  #session: number | null = null;
  #idle: NodeJS.Timeout | undefined;
  #ending = false;

  constructor(start: WorkerStart, send: (message: WorkerReplies) => void) {
    this.#start = start;
    this.#send = send;
    this.#writer = new SqliteEngine(start.path, 'write');
    this.#reader = new SqliteEngine(start.path, 'read');
  }

  receive(requests: readonly WorkerRequest[]): void {
    for (const request of requests) this.#accept(request);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After every message of this turn, so that all of them share a commit.
    setImmediate(() => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  #accept(request: WorkerRequest): void {
    if (request.op === 'close') this.#close(request.id);
    else if (request.op === 'read')
      this.#answer(request.id, () => this.#reader.run(request.sql, request.values));
    else if (request.op === 'begin' || request.op === 'scrub' || request.session === null)
      this.#waiting.push(request);
    else this.#inSession(request, request.session);
  }

  #inSession(request: WriteRequest | BeginRequest, session: number): void {
    if (session !== this.#session) {
      // An expired transaction is rolled back already.
      if (request.op === 'rollback') this.#answer(request.id, () => NO_RESULT);
      else this.#failOver(request.id);
      return;
    }
    this.#watchIdle();
    if (request.op === 'write') {
      this.#answer(request.id, () => this.#writer.run(request.sql, request.values));
      return;
    }
    this.#answer(request.id, () => {
      if (request.op === 'commit') this.#writer.control('commit');
      return NO_RESULT;
    });
    this.#endSession();
  }

  #failOver(id: number): void {
    const message = 'the transaction was rolled back because it asked for nothing for too long';
    this.#fail(id, { message, code: SESSION_OVER });
  }

  #endSession(): void {
    clearTimeout(this.#idle);
    this.#session = null;
    this.#abandon();
  }

  // A holder that waits for a statement behind its own transaction would stop the site for good.
  #watchIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.#endSession();
      this.#drain();
    }, this.#start.transactionIdleMs);
  }

  #drain(): void {
    while (this.#session === null && this.#waiting.length > 0) {
      const begin = this.#waiting.findIndex((request) => request.op !== 'write');
      const group = this.#waiting.splice(0, begin === -1 ? this.#waiting.length : begin);
      this.#commitGroup(group.filter((request) => request.op === 'write'));
      const next = this.#waiting[0];
      if (next !== undefined && next.op === 'begin') {
        this.#waiting.shift();
        this.#beginSession(next);
      } else if (next !== undefined && next.op === 'scrub') {
        this.#waiting.shift();
        this.#answer(next.id, () => {
          this.#writer.scrub();
          return NO_RESULT;
        });
      }
    }
    this.#flush();
  }

  #beginSession(request: BeginRequest): void {
    this.#answer(request.id, () => {
      this.#writer.control('begin immediate');
      this.#session = request.session;
      this.#watchIdle();
      return NO_RESULT;
    });
  }

  #commitGroup(group: readonly WriteRequest[]): void {
    if (group.length > 1) {
      const replies = this.#runTogether(group);
      if (replies !== null) {
        this.#replies.push(...replies);
        return;
      }
    }
    for (const { id, sql, values } of group) this.#answer(id, () => this.#writer.run(sql, values));
  }

  // Null when the shared transaction was lost (INSERT OR ROLLBACK, a full disk): nothing of it happened, so each may
  // run again alone and fail for itself.
  #runTogether(group: readonly WriteRequest[]): WorkerReply[] | null {
    try {
      this.#writer.control('begin immediate');
      const replies = group.map((request) => this.#runSaved(request));
      this.#writer.control('commit');
      return replies;
    } catch (error) {
      this.#note(toFailure(error));
      this.#abandon();
      return null;
    }
  }

  #runSaved({ id, sql, values }: WriteRequest): WorkerReply {
    this.#writer.control('savepoint s');
    try {
      const result = this.#writer.run(sql, values);
      this.#writer.control('release s');
      return { id, result };
    } catch (error) {
      if (!this.#writer.inTransaction) throw error;
      this.#writer.control('rollback to s');
      this.#writer.control('release s');
      return { id, failure: toFailure(error) };
    }
  }

  #answer(id: number, work: () => StatementResult): void {
    if (this.#ending) {
      this.#fail(id, { message: 'the database is opened again after an error', code: SQLITE_IOERR });
      return;
    }
    try {
      this.#replies.push({ id, result: work() });
    } catch (error) {
      this.#fail(id, toFailure(error));
    }
  }

  #fail(id: number, failure: SqliteFailure): void {
    this.#note(failure);
    this.#replies.push({ id, failure });
  }

  #note(failure: SqliteFailure): void {
    // After a failed sync the kernel may call unwritten pages clean, so a later sync proves nothing: only another
    // connection, which recovers from what it reads, may go on.
    if (failure.code !== null && primaryCode(failure.code) === SQLITE_IOERR) this.#ending = true;
  }

  #abandon(): void {
    if (this.#writer.inTransaction) this.#writer.control('rollback');
  }

  #flush(): void {
    if (this.#ending) this.#end();
    if (this.#ending || this.#replies.length > 0) this.#send({ replies: this.#replies, last: this.#ending });
    this.#replies = [];
    if (this.#ending) parentPort?.close();
  }

  #close(id: number): void {
    this.#endSession();
    this.#drain();
    this.#replies.push({ id, result: NO_RESULT });
    this.#ending = true;
  }

  #end(): void {
    clearTimeout(this.#idle);
    for (const engine of [this.#reader, this.#writer]) {
      try {
        engine.close();
      } catch (error) {
        // What could not be written is in the write-ahead log or was never acknowledged.
        this.#note(toFailure(error));
      }
    }
  }
}

// The one starter is sqlite-link.ts, which passes this type.
const desk = new Desk(workerData as WorkerStart, (message) => parentPort?.postMessage(message, []));
parentPort?.on('message', (requests: readonly WorkerRequest[]) => {
  desk.receive(requests);
});
