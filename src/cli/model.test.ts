import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readEnv } from '../core/env.ts';
import { Fault } from '../core/fault.ts';
import { silentLog } from '../core/log.ts';
import { systemWorld } from '../core/world.ts';
import type { ModelDesk, ShownModel } from '../server/model-desk.ts';
import { openSite } from '../server/site.ts';
import { defaultAnchorDir, resolveConfig } from '../server/start.ts';
import { tinyGguf } from '../../test/support/tiny-gguf.ts';
import type { Io } from './io.ts';
import { modelCommand } from './model.ts';

const BYTES = tinyGguf();
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
const TINY: ShownModel = {
  name: 'tiny',
  file: 'tiny.gguf',
  bytes: BYTES.length,
  sha256: SHA256,
  licence: 'MIT',
  origin: 'https://example.org/tiny',
  source: 'https://example.org/tiny.gguf',
  stored: 0,
  toy: true,
  path: '/models/tiny.gguf',
  note: { ja: '玩具', en: 'a toy' },
};

test('an imported model is recorded in the log, and listed with its digest and licence', async () => {
  await using desk = await openDesk();
  await desk.startOnce();
  const file = join(desk.dir, 'mine.gguf');
  await writeFile(file, BYTES);
  assert.equal(await desk.run('import', file, '--name', 'mine', '--licence', 'MIT', '--data', desk.data), 0);
  assert.match(desk.out(), new RegExp(`^mine .* MIT  sha256:${SHA256}  import\n`));
  const logged = await contentsOf(join(desk.data, 'ledger'));
  assert.match(logged, new RegExp(`"digest":"sha256:${SHA256}","event":"stored"`));
  assert.equal(await desk.run('list', '--json'), 0);
  const [listed] = JSON.parse(desk.out());
  assert.equal(listed.sha256, SHA256);
  assert.deepEqual(await readFile(listed.path), BYTES);
});

test('a pull shows progress on a terminal only', async () => {
  for (const terminal of [true, false]) {
    await using desk = await openDesk(terminal);
    assert.equal(await desk.runWith(pulling, 'pull', 'tiny', '--json'), 0);
    assert.equal(JSON.parse(desk.out()).sha256, SHA256);
    assert.equal(/\rtiny 50%/.test(desk.err()), terminal);
    assert.equal(desk.err() === '', !terminal);
  }
});

test('a site that runs on the data is named as the reason', async () => {
  await using desk = await openDesk();
  const busy = (): Promise<ModelDesk> => Promise.reject(new Fault('conflict', 'ledger.in_use', 'held'));
  await assert.rejects(desk.runOpening(busy, 'pull', 'tiny'), { code: 'cli.site_running' });
});

test('where no site was started nothing is fetched, made or adopted', async () => {
  await using desk = await openDesk();
  const pulled = desk.run('pull', 'chat', '--data', desk.data);
  await assert.rejects(pulled, { code: 'cli.never_started', message: /start it once/ });
  assert.deepEqual(await readdir(desk.dir), []);
});

test('wrong usage is told apart from failure', async () => {
  await using desk = await openDesk();
  for (const args of [[], ['pull'], ['import', 'x'], ['list', 'x'], ['eat', 'x'], ['pull', 'a', 'b']]) {
    assert.equal(await desk.run(...args), 2, args.join(' '));
    assert.match(desk.err(), /usage: sekisho model/);
  }
  await assert.rejects(desk.runWith(pulling, 'pull', 'nothing'), { code: 'gateway.unknown_model' });
});

async function contentsOf(folder: string): Promise<string> {
  const paths = (await readdir(folder, { recursive: true })).map((name) => join(folder, name));
  const texts = await Promise.all(
    paths.map(async (path) => ((await stat(path)).isFile() ? readFile(path, 'latin1') : '')),
  );
  return texts.join('');
}

async function openDesk(terminal = false) {
  const dir = await mkdtemp(join(tmpdir(), 'sekisho-model-'));
  const models = join(dir, 'models');
  const state = join(dir, 'state');
  const env = readEnv({ HOME: dir, XDG_STATE_HOME: state, SEKISHO_MODELS: models });
  let out = '';
  let err = '';
  const { signal } = new AbortController();
  const io: Io = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    terminal,
    env,
    signal,
  };
  const clear = (): void => {
    out = '';
    err = '';
  };
  return {
    dir,
    data: join(dir, 'data'),
    async startOnce() {
      const world = systemWorld();
      const { config, dataDir } = resolveConfig(env, { data: join(dir, 'data') });
      const site = await openSite({
        config,
        dataDir,
        anchorDir: defaultAnchorDir(env),
        modelsDir: models,
        env,
        world,
        log: silentLog,
      });
      await site[Symbol.asyncDispose]();
    },
    out: () => out,
    err: () => err,
    run(...args: string[]) {
      clear();
      return modelCommand(args, io);
    },
    runWith(desk: ModelDesk, ...args: string[]) {
      clear();
      return modelCommand(args, io, () => Promise.resolve(desk));
    },
    runOpening(open: () => Promise<ModelDesk>, ...args: string[]) {
      clear();
      return modelCommand(args, io, open);
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

/** A desk whose one model is fetched in two pieces. */
const pulling: ModelDesk = {
  async pull(name, watch) {
    if (name !== TINY.name) throw new Fault('missing', 'gateway.unknown_model', 'there is tiny');
    watch.onProgress(TINY.bytes / 2, TINY.bytes);
    watch.onProgress(TINY.bytes, TINY.bytes);
    return TINY;
  },
  take: () => Promise.reject(new Error('not asked for')),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
