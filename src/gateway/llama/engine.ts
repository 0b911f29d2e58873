import { availableParallelism } from 'node:os';
import { SECOND } from '../../core/duration.ts';
import { Fault } from '../../core/fault.ts';
import type { Log } from '../../core/log.ts';
import type { World } from '../../core/world.ts';
import { startEngineProcess } from './engine-process.ts';
import type { EngineProcess } from './engine-process.ts';
import { JobQueue } from './job-queue.ts';
import type { EngineJob } from './job-queue.ts';
import type {
  ChatEvent,
  ChatJob,
  ChatResult,
  ChildFault,
  EmbedResult,
  FromChild,
  Sampling,
} from './protocol.ts';

export interface EngineOptions {
  /** The GGUF file; null until one was downloaded. */
  readonly modelPath: string | null;
  /** Of the processor; the default leaves one free, for the native library spins while it waits. */
  readonly threads?: number;
  /** Requests answered at the same time. */
  readonly parallel?: number;
  /** Requests that may wait beside those. */
  readonly queueLimit?: number;
  /** Tokens of prompt and answer together, for each request. */
  readonly contextSize?: number;
  /** What a request gets that names no temperature or top_p, unless `load` knows better. */
  readonly sampling?: Sampling;
  readonly log: Log;
  readonly world: World;
}

export type EngineState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'downloading'; readonly done: number; readonly total: number }
  /** `progress` from 0 to 1. */
  | { readonly kind: 'loading'; readonly progress: number }
  | { readonly kind: 'ready'; readonly contextSize: number }
  | { readonly kind: 'failed'; readonly reason: string };

/** Hears of one job: events in order, then one of `onEnd` and `onError`. Nothing after the signal was aborted. */
export interface JobHandler<Result> {
  onEvent(event: ChatEvent): void;
  onEnd(result: Result): void;
  /**
   * Faults: `gateway.overloaded`, `gateway.model_unavailable` (details.retryAfterMs, details.progress),
   * `gateway.engine_died`, `gateway.context_length_exceeded`, `gateway.unsupported_parameter`,
   * `gateway.generation_failed`.
   */
  onError(fault: Fault): void;
}

const PARALLEL = 2;
const QUEUE_LIMIT = 16;
const CONTEXT_SIZE = 4_096;
/** What the OpenAI description says of a request that names neither. */
const SAMPLING: Sampling = { temperature: 1, topP: 1, repeatPenalty: 1, maxTokens: null };
const FIRST_BACKOFF = SECOND / 4;
const LONGEST_BACKOFF = 30 * SECOND;
/** An abort is obeyed within a slice of work; an engine that lets this pass hangs. */
const ABORT_GRACE = 5 * SECOND;

/** A model in a process of its own: it answers several requests at once and is started again when it dies. */
export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions;
  readonly #queue: JobQueue;
  readonly #closing = new AbortController();
  #state: EngineState = { kind: 'absent' };
  #process: EngineProcess | null = null;
  #modelPath: string | null = null;
  #sampling: Sampling = SAMPLING;
  #crashes = 0;
  #stopped: PromiseWithResolvers<void> | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#queue = new JobQueue({
      parallel: options.parallel ?? PARALLEL,
      limit: options.queueLimit ?? QUEUE_LIMIT,
      clock: options.world.clock,
    });
    if (options.modelPath !== null) this.load(options.modelPath);
  }

  state(): EngineState {
    return this.#state;
  }

  /** The id of the engine's process, null while there is none. */
  pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Shown to callers until `load` or `absent`. */
  downloading(done: number, total: number): void {
    if (this.#modelPath === null) this.#state = { kind: 'downloading', done, total };
  }

  /** The download came to nothing; `reason` is shown to callers. */
  unavailable(reason: string): void {
    if (this.#modelPath === null) this.#state = { kind: 'failed', reason };
  }

  /** Starts the engine on this model; the one that runs on another ends with its jobs. */
  load(modelPath: string, sampling: Sampling | null = null): void {
    if (this.#closing.signal.aborted) return;
    this.#modelPath = modelPath;
    this.#sampling = sampling ?? this.#options.sampling ?? SAMPLING;
    this.#crashes = 0;
    this.#state = { kind: 'loading', progress: 0 };
    if (this.#process === null) this.#start();
    else this.#process.kill();
  }

  /** Answers a chat job; an abort frees its place within 100 ms. */
  chat(job: ChatJob, handler: JobHandler<ChatResult>, signal: AbortSignal): void {
    const seed = job.seed ?? this.#options.world.random.bytes(4).readUInt32LE();
    this.#enter({
      message: (id) => ({ kind: 'chat', id, job, seed }),
      onEvent: (event) => handler.onEvent(event),
      onDone: (message) => {
        if (message.kind === 'chatted') handler.onEnd(message.result);
      },
      onError: (fault) => handler.onError(fault),
      signal,
    });
  }

  /** Embeds each input. @throws the faults of JobHandler, or the signal's reason. */
  async embed(inputs: readonly string[], signal: AbortSignal): Promise<EmbedResult> {
    const { promise, resolve, reject } = Promise.withResolvers<EmbedResult>();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    this.#enter({
      message: (id) => ({ kind: 'embed', id, inputs }),
      onEvent: () => {},
      onDone: (message) => {
        if (message.kind === 'embedded') resolve(message.result);
      },
      onError: reject,
      signal,
    });
    return promise;
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#queue.failAll(unavailable({ kind: 'failed', reason: 'the site is stopping' }));
    }
    if (this.#process === null) return;
    this.#stopped ??= Promise.withResolvers();
    this.#process.kill();
    await this.#stopped.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #enter(job: EngineJob): void {
    if (job.signal.aborted) return;
    const refusal = this.#closing.signal.aborted ? unavailable({ kind: 'absent' }) : this.#refusal();
    if (refusal !== null) {
      // The caller first gets its call back, then hears of the refusal.
      queueMicrotask(() => {
        if (!job.signal.aborted) job.onError(refusal);
      });
      return;
    }
    this.#queue.add(job, (id) => this.#abort(id));
    this.#pump();
  }

  #refusal(): Fault | null {
    if (this.#state.kind !== 'ready' && this.#state.kind !== 'loading') return unavailable(this.#state);
    if (!this.#queue.full()) return null;
    return new Fault(
      'exhausted',
      'gateway.overloaded',
      'the local model has more requests waiting than it takes',
      {
        details: { retryAfterMs: this.#queue.expectedWaitMs() },
      },
    );
  }

  #pump(): void {
    const engine = this.#process;
    if (engine === null || this.#state.kind !== 'ready') return;
    for (const message of this.#queue.startable()) engine.send(message);
  }

  #abort(id: number): void {
    const engine = this.#process;
    engine?.send({ kind: 'abort', id });
    this.#options.world.clock.sleep(ABORT_GRACE, this.#closing.signal).then(
      () => {
        if (!this.#queue.running(id) || engine !== this.#process) return;
        this.#options.log.error('engine.hung');
        engine?.kill();
      },
      () => {},
    );
  }

  #start(): void {
    const { log, contextSize = CONTEXT_SIZE, parallel = PARALLEL } = this.#options;
    const modelPath = this.#modelPath;
    if (modelPath === null) return;
    const threads = this.#options.threads ?? Math.max(1, availableParallelism() - 1);
    log.info('engine.start', { threads, parallel });
    const engine = startEngineProcess({
      onMessage: (message) => this.#hear(message),
      onExit: () => this.#ended(modelPath),
    });
    this.#process = engine;
    engine.send({
      kind: 'load',
      settings: { modelPath, threads, parallel, contextSize, sampling: this.#sampling },
    });
  }

  #hear(message: FromChild): void {
    switch (message.kind) {
      case 'loading':
        this.#state = { kind: 'loading', progress: message.progress };
        break;
      case 'ready':
        this.#state = { kind: 'ready', contextSize: message.contextSize };
        this.#options.log.info('engine.ready', { contextSize: message.contextSize });
        this.#pump();
        break;
      case 'unusable':
        this.#unusable(message.reason);
        break;
      case 'event':
        this.#queue.event(message.id, message.event);
        break;
      case 'fault':
        this.#queue.fail(message.id, jobFault(message.fault));
        this.#pump();
        break;
      case 'chatted':
      case 'embedded':
      case 'aborted':
        this.#crashes = 0;
        this.#queue.done(message.id, message);
        this.#pump();
        break;
    }
  }

  // A model that cannot be loaded now cannot be loaded by trying again: the next `load` brings another.
  #unusable(reason: Extract<FromChild, { kind: 'unusable' }>['reason']): void {
    this.#options.log.error('engine.unusable', { reason });
    this.#modelPath = null;
    this.#state = { kind: 'failed', reason: UNUSABLE[reason] };
    this.#queue.failAll(unavailable(this.#state));
    this.#process?.kill();
  }

  #ended(modelPath: string): void {
    this.#process = null;
    this.#stopped?.resolve();
    this.#queue.failRunning(
      new Fault('unavailable', 'gateway.engine_died', 'the local model stopped while it answered', {
        details: { retryAfterMs: SECOND },
      }),
    );
    if (this.#closing.signal.aborted || this.#modelPath === null) return;
    if (modelPath === this.#modelPath) this.#startLater();
    else this.#start();
  }

  // After one crash requests wait for the new engine, which is there in about a second; after more they are told.
  #startLater(): void {
    this.#crashes += 1;
    const wait = Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (this.#crashes - 1));
    this.#options.log.warn('engine.died', { crashes: this.#crashes, wait });
    if (this.#crashes === 1) this.#state = { kind: 'loading', progress: 0 };
    else {
      this.#state = { kind: 'failed', reason: 'the local model stopped several times and is started again' };
      this.#queue.failAll(unavailable(this.#state));
    }
    this.#options.world.clock.sleep(wait, this.#closing.signal).then(
      () => {
        if (this.#process === null) this.#start();
      },
      () => {},
    );
  }
}

const UNUSABLE = {
  'no-engine': 'the local engine has no build for this machine',
  'bad-model': 'the file of the local model cannot be loaded',
  'no-memory': 'the local model needs more memory than there is',
} as const;

function unavailable(state: EngineState): Fault {
  const message = `the local model is not available: ${describe(state)}`;
  const progress = state.kind === 'downloading' ? { done: state.done, total: state.total } : undefined;
  return new Fault('unavailable', 'gateway.model_unavailable', message, {
    details: { retryAfterMs: 5 * SECOND, ...(progress === undefined ? {} : { progress }) },
  });
}

function describe(state: EngineState): string {
  switch (state.kind) {
    case 'absent':
      return 'it is not there yet';
    case 'downloading':
      return state.total > 0
        ? `${Math.floor((100 * state.done) / state.total)} % of it is fetched`
        : 'it is being fetched';
    case 'loading':
      return 'it is being loaded';
    case 'ready':
      return 'it is stopping';
    case 'failed':
      return state.reason;
  }
}

function jobFault(fault: ChildFault): Fault {
  switch (fault.code) {
    case 'context_length_exceeded':
      return new Fault(
        'invalid',
        'gateway.context_length_exceeded',
        `the messages have ${fault.promptTokens ?? 'too many'} tokens; the model's context holds ${fault.contextSize} for them and the answer`,
        { details: { param: 'messages', promptTokens: fault.promptTokens, contextSize: fault.contextSize } },
      );
    case 'schema_unusable':
      return new Fault(
        'invalid',
        'gateway.unsupported_parameter',
        'the local engine cannot enforce this schema',
        {
          details: { param: 'response_format' },
        },
      );
    case 'generation_failed':
      return new Fault('unavailable', 'gateway.generation_failed', 'the local model could not answer');
  }
}
