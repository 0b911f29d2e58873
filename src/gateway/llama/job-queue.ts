import { SECOND } from '../../core/duration.ts';
import type { Fault } from '../../core/fault.ts';
import type { Clock } from '../../core/world.ts';
import type { ChatEvent, FromChild, ToChild } from './protocol.ts';

/** A job as the engine's parent sees it. Nothing is called after the signal was aborted. */
export interface EngineJob {
  message(id: number): ToChild;
  onEvent(event: ChatEvent): void;
  onDone(message: FromChild): void;
  onError(fault: Fault): void;
  readonly signal: AbortSignal;
}

interface Entry {
  readonly id: number;
  readonly job: EngineJob;
  startedAt: number | null;
  readonly onAbort: () => void;
}

/** Weight of the newest job in the running mean of durations. */
const NEWEST = 0.2;

/** Jobs in order of arrival: at most `parallel` with the engine, at most `limit` waiting. */
export class JobQueue {
  readonly #parallel: number;
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #waiting: Entry[] = [];
  readonly #running = new Map<number, Entry>();
  #nextId = 1;
  #meanMs: number = SECOND;

  constructor(options: { parallel: number; limit: number; clock: Clock }) {
    this.#parallel = options.parallel;
    this.#limit = options.limit;
    this.#clock = options.clock;
  }

  full(): boolean {
    return this.#waiting.length + this.#running.size >= this.#limit + this.#parallel;
  }

  /** How long a job that came now might wait, at least a second. */
  expectedWaitMs(): number {
    return Math.max(SECOND, Math.round((this.#meanMs * (this.#waiting.length + 1)) / this.#parallel));
  }

  running(id: number): boolean {
    return this.#running.has(id);
  }

  /** `abortRunning` is told when a job was aborted that the engine already has; its place frees when the engine lets go. */
  add(job: EngineJob, abortRunning: (id: number) => void): void {
    const id = this.#nextId++;
    const onAbort = (): void => {
      const at = this.#waiting.findIndex((entry) => entry.id === id);
      if (at !== -1) this.#waiting.splice(at, 1);
      else if (this.#running.has(id)) abortRunning(id);
    };
    this.#waiting.push({ id, job, startedAt: null, onAbort });
    job.signal.addEventListener('abort', onAbort, { once: true });
  }

  /** Takes the jobs for which there is a place; the caller sends what is returned. */
  startable(): ToChild[] {
    const messages: ToChild[] = [];
    while (this.#running.size < this.#parallel) {
      const entry = this.#waiting.shift();
      if (entry === undefined) break;
      entry.startedAt = this.#clock.elapsed();
      this.#running.set(entry.id, entry);
      messages.push(entry.job.message(entry.id));
    }
    return messages;
  }

  event(id: number, event: ChatEvent): void {
    const entry = this.#running.get(id);
    if (entry !== undefined && !entry.job.signal.aborted) entry.job.onEvent(event);
  }

  done(id: number, message: FromChild): void {
    const entry = this.#leave(id);
    if (entry !== undefined && !entry.job.signal.aborted) entry.job.onDone(message);
  }

  fail(id: number, fault: Fault): void {
    const entry = this.#leave(id);
    if (entry !== undefined && !entry.job.signal.aborted) entry.job.onError(fault);
  }

  failRunning(fault: Fault): void {
    for (const id of this.#running.keys()) this.fail(id, fault);
  }

  failAll(fault: Fault): void {
    this.failRunning(fault);
    for (const entry of this.#waiting.splice(0)) {
      entry.job.signal.removeEventListener('abort', entry.onAbort);
      entry.job.onError(fault);
    }
  }

  #leave(id: number): Entry | undefined {
    const entry = this.#running.get(id);
    if (entry === undefined) return undefined;
    this.#running.delete(id);
    entry.job.signal.removeEventListener('abort', entry.onAbort);
    if (entry.startedAt !== null) {
      this.#meanMs += NEWEST * (this.#clock.elapsed() - entry.startedAt - this.#meanMs);
    }
    return entry;
  }
}
