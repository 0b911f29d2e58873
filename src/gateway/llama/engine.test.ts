import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Fault } from '../../core/fault.ts';
import { jsonLog } from '../../core/log.ts';
import { systemWorld } from '../../core/world.ts';
import { writeTinyGguf } from '../../../test/support/tiny-gguf.ts';
import { Engine } from './engine.ts';
import type { EngineOptions } from './engine.ts';
import { ENGINE_PERMISSIONS } from './engine-process.ts';
import { parseLlamaRequest } from './request.ts';

const WORLD = systemWorld();
const MARK = 'rhubarb-of-the-third-shelf';
const lines: string[] = [];

let folder: string;
let modelPath: string;
/** Answers two at once. */
let pair: Engine;
/** Answers one and lets one wait. */
let single: Engine;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sekisho-engine-'));
  modelPath = await writeTinyGguf(join(folder, 'tiny.gguf'));
  process.env['SEKISHO_TEST_SECRET'] = MARK;
  pair = new Engine({ ...options(), modelPath });
  single = new Engine({ ...options(), modelPath, parallel: 1, queueLimit: 1 });
});
after(async () => {
  await pair.close();
  await single.close();
  await rm(folder, { recursive: true });
});

describe('requests side by side', () => {
  test('see nothing of each other', async () => {
    const [question, secret] = ['今日は', `remember ${MARK}`];
    const alone = await say(pair, [question]);
    await say(pair, [secret]);
    assert.equal(await say(pair, [question]), alone, 'an answer changed after another conversation');
    const [beside] = await Promise.all([say(pair, [question]), say(pair, [secret])]);
    assert.equal(beside, alone, 'an answer changed beside another conversation');
    assert.notEqual(await say(pair, [secret, question]), alone, 'a leak would not show in the answer');
  });

  test('beyond the queue are told to come back', async () => {
    const stop = new AbortController();
    const running = say(single, ['a'], { maxTokens: 1_500, signal: stop.signal });
    const waiting = say(single, ['b'], { signal: stop.signal });
    const fault = await faultOf(say(single, ['c']));
    assert.equal(fault.code, 'gateway.overloaded');
    assert.equal(fault.kind, 'exhausted');
    assert.ok(Number(fault.details['retryAfterMs']) >= 1_000);
    stop.abort();
    await Promise.allSettled([running, waiting]);
  });

  test('free their place within 100 ms of being aborted', async () => {
    await say(single, ['warm']);
    let fastest = Infinity;
    for (let i = 0; i < 3; i++) fastest = Math.min(fastest, await abortedPlaceMs(single));
    assert.ok(fastest < 100, `the next request began after ${fastest} ms`);
  });

  test('that wait are forgotten when aborted', async () => {
    const stop = new AbortController();
    const heard: string[] = [];
    const long = new AbortController();
    void say(single, ['a'], { maxTokens: 1_500, signal: long.signal }).catch(() => {});
    const job = parseLlamaRequest(body(['b'])).job;
    const hear = (what: string) => (): void => void heard.push(what);
    single.chat(job, { onEvent: hear('event'), onEnd: hear('end'), onError: hear('error') }, stop.signal);
    stop.abort();
    const next = say(single, ['c']);
    long.abort();
    await next;
    assert.deepEqual(heard, []);
  });
});

describe('an engine that dies', () => {
  test('breaks off what it was answering, comes back, and logs no prompt', async () => {
    await say(single, ['warm']);
    lines.length = 0;
    const broken = faultOf(say(single, [MARK], { maxTokens: 1_500, onText: () => kill(single) }));
    const fault = await broken;
    assert.equal(fault.code, 'gateway.engine_died');
    assert.equal(fault.kind, 'unavailable');
    const text = await say(single, ['after']);
    assert.ok(text.length > 0);
    assert.ok(lines.some((line) => line.includes('engine.died')));
    assert.ok(!lines.join('').includes(MARK));
  });

  test('again and again turns requests away instead of keeping them', async () => {
    await ready(single);
    kill(single);
    await until(() => single.state().kind === 'loading' && single.pid() !== null);
    kill(single);
    await until(() => single.state().kind === 'failed');
    const fault = await faultOf(say(single, ['x']));
    assert.equal(fault.code, 'gateway.model_unavailable');
    await ready(single);
    await say(single, ['y']);
  });
});

describe('an engine that hangs', () => {
  test('is killed when it does not let go of an aborted request', async () => {
    const clock = {
      ...WORLD.clock,
      sleep: (ms: number, signal?: AbortSignal) => WORLD.clock.sleep(ms / 50, signal),
    };
    await using engine = new Engine({ ...options(), modelPath, world: { ...WORLD, clock } });
    await ready(engine);
    const stuck = engine.pid();
    assert.ok(stuck !== null);
    process.kill(stuck, 'SIGSTOP');
    const stop = new AbortController();
    const asked = say(engine, ['x'], { signal: stop.signal });
    stop.abort();
    await assert.rejects(asked);
    await until(() => engine.pid() !== stuck && !alive(stuck));
    await say(engine, ['y']);
  });
});

describe('a model that is not there', () => {
  test('answers with the progress of its download', async () => {
    await using engine = new Engine({ ...options(), modelPath: null });
    assert.equal((await faultOf(say(engine, ['x']))).code, 'gateway.model_unavailable');
    engine.downloading(30, 120);
    const fault = await faultOf(say(engine, ['x']));
    assert.deepEqual(fault.details['progress'], { done: 30, total: 120 });
    assert.match(fault.message, /25 %/);
    engine.load(modelPath);
    await say(engine, ['x']);
  });

  test('whose file is no model fails, until another is loaded', async () => {
    const path = join(folder, 'torn.gguf');
    await writeFile(path, readFileSync(modelPath).subarray(0, 100_000));
    await using engine = new Engine({ ...options(), modelPath: path });
    const fault = await faultOf(say(engine, ['x']));
    assert.equal(fault.code, 'gateway.model_unavailable');
    assert.equal(engine.state().kind, 'failed');
    engine.load(modelPath);
    await say(engine, ['x']);
  });
});

describe('the process of the engine', () => {
  test('holds no socket but its channel and none of our environment', async () => {
    await say(pair, ['x']);
    const pid = pair.pid();
    assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8').includes(MARK), false);
    const inodes = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'].flatMap((table) =>
      readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/)[9] ?? ''),
    );
    const held = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    assert.deepEqual(
      held.filter((target) => inodes.some((inode) => target === `socket:[${inode}]`)),
      [],
    );
  });

  test('cannot open one', async () => {
    const script = "require('node:net').connect(9, '127.0.0.1').on('error', (e) => console.log(e.code))";
    assert.equal(await printed([...ENGINE_PERMISSIONS, '-e', script]), 'ERR_ACCESS_DENIED');
    assert.equal(await printed(['-e', script]), 'ECONNREFUSED');
  });

  test('ends when its parent is killed', async () => {
    const script = fileURLToPath(new URL('../../../test/support/orphan-engine.ts', import.meta.url));
    const parent = spawn(process.execPath, [script, modelPath], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(parent.stdout, 'data');
    const pid = Number(String(line));
    assert.ok(alive(pid));
    parent.kill('SIGKILL');
    await until(() => !alive(pid));
  });
});

function options(): Omit<EngineOptions, 'modelPath'> {
  return {
    threads: 1,
    contextSize: 2_048,
    log: jsonLog(WORLD.clock, (line) => lines.push(line)),
    world: WORLD,
  };
}

function body(texts: readonly string[], maxTokens = 12): object {
  const messages = texts.map((content) => ({ role: 'user', content }));
  return { model: 'chat', messages, max_tokens: maxTokens, seed: 3 };
}

interface Saying {
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
  readonly onText?: () => void;
}

function say(
  engine: Engine,
  texts: readonly string[],
  { maxTokens, signal, onText }: Saying = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  signal?.addEventListener('abort', () => reject(signal.reason));
  engine.chat(
    parseLlamaRequest(body(texts, maxTokens)).job,
    {
      onEvent(event) {
        if (event.kind !== 'text') return;
        text += event.text;
        onText?.();
      },
      onEnd: () => resolve(text),
      onError: reject,
    },
    signal ?? new AbortController().signal,
  );
  return promise;
}

async function abortedPlaceMs(engine: Engine): Promise<number> {
  const stop = new AbortController();
  const begun = Promise.withResolvers<void>();
  const long = assert.rejects(
    say(engine, ['x'.repeat(900)], { maxTokens: 900, signal: stop.signal, onText: begun.resolve }),
  );
  await begun.promise;
  const next = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const nextStarted = { onEvent: () => next.resolve(), onEnd: () => ended.resolve(), onError: next.reject };
  engine.chat(parseLlamaRequest(body(['next'])).job, nextStarted, new AbortController().signal);
  const at = performance.now();
  stop.abort();
  await next.promise;
  const took = performance.now() - at;
  await Promise.all([long, ended.promise]);
  return took;
}

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const thrown: unknown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof Fault, `expected a Fault, found ${String(thrown)}`);
  return thrown;
}

function kill(engine: Engine): void {
  const pid = engine.pid();
  if (pid !== null) process.kill(pid, 'SIGKILL');
}

function ready(engine: Engine): Promise<void> {
  return until(() => engine.state().kind === 'ready');
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it did not happen within 20 s');
    await delay(5);
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function printed(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, ['--no-warnings', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await once(child, 'close');
  return text.trim();
}
