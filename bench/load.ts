import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { summarize } from './statistics.ts';
import type { Summary } from './statistics.ts';

export interface Target {
  readonly origin: string;
  readonly key: string;
  readonly model: string;
}

export interface Closed {
  readonly perSecond: number;
  readonly latency: Summary;
}

const PATH = '/v1/chat/completions';
const CONNECTIONS = 32;
const KILOBYTE_OF_TEXT = '関所 checkpoint '.repeat(52);
/** What Linux counts process times in. */
const TICKS_PER_SECOND = 100;

/** As many requests a second as `CONNECTIONS` connections get through in `forMs`. */
export async function closedLoop(target: Target, forMs: number): Promise<Closed> {
  await using pool = poolFor(target);
  const times: number[] = [];
  const begun = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - begun < forMs) times.push(await timedChat(pool, target));
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return { perSecond: (times.length * 1000) / (performance.now() - begun), latency: summarize(times) };
}

/**
 * Milliseconds a request at a steady rate, counted from the moment each was due, so that a stall counts for all that
 * waited behind it.
 */
export async function openLoop(target: Target, perSecond: number, forMs: number): Promise<Summary> {
  await using pool = poolFor(target);
  const total = Math.floor((perSecond * forMs) / 1000);
  const begun = performance.now();
  const running: Promise<number>[] = [];
  for (let i = 0; i < total; i++) {
    const due = begun + (i * 1000) / perSecond;
    const early = due - performance.now();
    if (early > 0) await delay(early);
    running.push(timedChat(pool, target).then(() => performance.now() - due));
  }
  return summarize(await Promise.all(running));
}

/** Milliseconds from a request for a receipt to its end, one after another. */
export async function receiptLatency(target: Target, rounds: number): Promise<Summary> {
  await using pool = poolFor(target);
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const { headers, body } = await pool.request(chatRequest(target));
    await body.dump();
    const begun = performance.now();
    const path = `/v1/receipts/${String(headers['sekisho-receipt'])}?wait=10`;
    const receipt = await pool.request({ path, method: 'GET', headers: headersFor(target) });
    await receipt.body.dump();
    if (receipt.statusCode !== 200) throw new Error(`a receipt was answered with ${receipt.statusCode}`);
    times.push(performance.now() - begun);
  }
  return summarize(times);
}

/** Microseconds of CPU that a process has used, in user and kernel mode; Linux only. */
export function cpuMicroseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  // proc(5): utime and stime are fields 14 and 15, and the second field ends with the bracket.
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS_PER_SECOND;
}

async function timedChat(pool: Pool, target: Target): Promise<number> {
  const begun = performance.now();
  const { statusCode, body } = await pool.request(chatRequest(target));
  await body.dump();
  // A refusal is cheap; counting one as an answer would flatter the figures.
  if (statusCode !== 200) throw new Error(`a request was answered with ${statusCode}`);
  return performance.now() - begun;
}

function chatRequest(target: Target): {
  path: string;
  method: 'POST';
  headers: Record<string, string>;
  body: string;
} {
  const messages = [{ role: 'user', content: KILOBYTE_OF_TEXT }];
  return {
    path: PATH,
    method: 'POST',
    headers: headersFor(target),
    body: JSON.stringify({ model: target.model, messages }),
  };
}

function headersFor(target: Target): Record<string, string> {
  return { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' };
}

function poolFor(target: Target): Pool & AsyncDisposable {
  const pool = new Pool(target.origin, { connections: CONNECTIONS });
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.close() });
}
