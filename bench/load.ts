import { Pool, type Dispatcher } from 'undici';
import { summarize, type Summary } from './statistics.ts';

/*
 * The clients of a measurement, in a process of their own: takes one job after another from its parent and sends back
 * what it measured. Times are in milliseconds.
 */

export interface Target {
  readonly origin: string;
  readonly key: string;
  readonly model: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Size of the request's text; one unless told. */
  readonly kib?: number;
}

export type Job =
  /** As many requests as a number of connections get through. */
  | {
      readonly kind: 'closed';
      readonly target: Target;
      readonly connections: number;
      readonly ms: number;
      readonly stream?: boolean;
    }
  /** A steady rate; times count from the moment each request was due, so that a stall counts for all behind it. */
  | {
      readonly kind: 'steady';
      readonly target: Target;
      readonly perSecond: number;
      readonly ms: number;
      readonly stream: boolean;
    }
  /** From the end of an answer to the end of its closed receipt, one after another. */
  | { readonly kind: 'receipts'; readonly target: Target; readonly rounds: number }
  /** From the moment a client leaves a stream to the moment its provider sees it go, one after another. */
  | { readonly kind: 'leaving'; readonly target: Target; readonly provider: string; readonly rounds: number };

export interface Measured {
  readonly perSecond: number;
  /** To the end of the answer; of a job of one kind of time, that time. */
  readonly whole: Summary;
  /** To the first byte of the body. */
  readonly first: Summary;
  /** The times of a steady rate themselves, for a summary over several stretches. */
  readonly times?: readonly { readonly first: number; readonly end: number }[];
}

interface Exchange {
  readonly first: number;
  readonly end: number;
  readonly receipt: string;
}

/** How plain JSON and an event stream end. */
const END = /(?:\}|data: \[DONE\])\s*$/;
const TAIL = 32;
const CHAT = '/v1/chat/completions';
/** With the rest of the body about one KiB in UTF-8. */
const TEXT = '関所 checkpoint '.repeat(52);

process.on('message', (message) => {
  // The parent is driver.ts, which sends nothing but jobs.
  void run(message as Job).then(
    (measured) => process.send?.(measured),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());

function run(job: Job): Promise<Measured> {
  switch (job.kind) {
    case 'closed':
      return closedLoop(job);
    case 'steady':
      return steadyLoop(job);
    case 'receipts':
      return receipts(job);
    case 'leaving':
      return leaving(job);
  }
}

async function closedLoop(job: Extract<Job, { kind: 'closed' }>): Promise<Measured> {
  const { target, connections, ms, stream = false } = job;
  await using pool = openPool(target, connections);
  const request = chatRequest(target, stream);
  const times: Exchange[] = [];
  const begun = performance.now();
  const worker = async (): Promise<void> => {
    for (let at = begun; at - begun < ms; at = performance.now())
      times.push(await exchange(pool, request, at));
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return measured(times, performance.now() - begun);
}

async function steadyLoop(job: Extract<Job, { kind: 'steady' }>): Promise<Measured> {
  // As many connections as it takes: a client that waits for one would hide what the far side takes.
  await using pool = openPool(job.target, null);
  const request = chatRequest(job.target, job.stream);
  const total = Math.floor((job.perSecond * job.ms) / 1000);
  const begun = performance.now();
  const running: Promise<Exchange>[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const tick = (): void => {
    const now = performance.now();
    for (;;) {
      const due = begun + (running.length * 1000) / job.perSecond;
      if (running.length === total) return resolve();
      if (due > now) return void setTimeout(tick, due - now);
      running.push(exchange(pool, request, due));
    }
  };
  tick();
  await promise;
  const times = await Promise.all(running);
  return {
    ...measured(times, performance.now() - begun),
    times: times.map(({ first, end }) => ({ first, end })),
  };
}

async function receipts({ target, rounds }: Extract<Job, { kind: 'receipts' }>): Promise<Measured> {
  await using pool = openPool(target, 1);
  const request = chatRequest(target, false);
  const times: Exchange[] = [];
  const begun = performance.now();
  for (let i = 0; i < rounds; i++) {
    const { receipt } = await exchange(pool, request, performance.now());
    const path = `/v1/receipts/${receipt}?wait=10`;
    const { body: _, ...ask } = request;
    times.push(await exchange(pool, { ...ask, path, method: 'GET' }, performance.now()));
  }
  return measured(times, performance.now() - begun);
}

async function leaving(job: Extract<Job, { kind: 'leaving' }>): Promise<Measured> {
  await using provider = openPool({ ...job.target, origin: job.provider }, 1);
  const times: number[] = [];
  for (let i = 0; i < job.rounds; i++) {
    const pool = openPool(job.target, 1);
    const left = await leaveStream(pool, chatRequest(job.target, true));
    const { body } = await provider.request({ path: '/left', method: 'GET' });
    times.push(Number(BigInt(await body.text()) - left) / 1e6);
    await pool.destroy();
  }
  return { perSecond: 0, whole: summarize(times), first: summarize([]) };
}

/** Leaves a stream at its first byte; gives the moment in nanoseconds. */
function leaveStream(pool: Pool, request: Dispatcher.DispatchOptions): Promise<bigint> {
  return new Promise((resolve, reject) => {
    let left: bigint | null = null;
    pool.dispatch(request, {
      onRequestStart: () => {},
      onResponseStart: () => {},
      onResponseData(controller) {
        if (left !== null) return;
        left = process.hrtime.bigint();
        controller.abort(new Error('left'));
        resolve(left);
      },
      onResponseEnd: () => reject(new Error('an endless stream ended')),
      onResponseError: (_, error) => {
        if (left === null) reject(error);
      },
    });
  });
}

/** One request to its end. Times count from `from`. */
function exchange(pool: Pool, request: Dispatcher.DispatchOptions, from: number): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    let first = 0;
    let receipt = '';
    let tail: Buffer = Buffer.alloc(0);
    pool.dispatch(request, {
      onRequestStart: () => {},
      onResponseStart(_, status, headers) {
        receipt = String(headers['sekisho-receipt']);
        // A refusal is cheap; counting one as an answer would flatter the figures.
        if (status !== 200) reject(new Error(`${request.path} was answered with ${status}`));
      },
      onResponseData(_, piece) {
        if (first === 0) first = performance.now() - from;
        tail = piece.length < TAIL ? Buffer.concat([tail, piece]).subarray(-TAIL) : piece.subarray(-TAIL);
      },
      onResponseEnd() {
        // An answer that breaks early is fast, and no answer.
        if (!END.test(tail.toString())) reject(new Error(`${request.path} did not come to its end`));
        else resolve({ first, end: performance.now() - from, receipt });
      },
      onResponseError: (_, error) => reject(error),
    });
  });
}

function measured(times: readonly Exchange[], ms: number): Measured {
  return {
    perSecond: (times.length * 1000) / ms,
    whole: summarize(times.map(({ end }) => end)),
    first: summarize(times.map(({ first }) => first)),
  };
}

function chatRequest(target: Target, stream: boolean): Dispatcher.DispatchOptions {
  const { key, model, headers, kib = 1 } = target;
  const messages = [{ role: 'user', content: TEXT.repeat(kib) }];
  return {
    path: CHAT,
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages, ...(stream ? { stream } : {}) }),
  };
}

function openPool({ origin }: Target, connections: number | null): Pool & AsyncDisposable {
  const pool = new Pool(origin, { connections });
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.close() });
}
