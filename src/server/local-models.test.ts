import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { until } from '../../test/support/observe.ts';
import { Fault } from '../core/fault.ts';
import type { Log, LogFacts } from '../core/log.ts';
import { systemWorld, type World } from '../core/world.ts';
import { LocalModels, type ModelSource } from './local-models.ts';

const FILE = fileURLToPath(import.meta.url);

test('a disk that fails is tried again, and its words go to the log alone', async () => {
  const logged: LogFacts[] = [];
  let tries = 0;
  await using models = modelsOf(async () => {
    tries += 1;
    // A file where a folder should be: ENOTDIR, with the path in the message.
    return { path: await readFile(`${FILE}/model.gguf`, 'utf8'), fingerprint: 'fp_0', sampling: null };
  }, logged);
  models.transport('m');
  await until(() => tries >= 3, 'it is tried again');
  const [described] = models.describe();
  assert.equal(described?.ready, false);
  assert.match(described?.detail ?? '', /^m: .*tried again \(server\.model_file\)$/);
  assert.doesNotMatch(described?.detail ?? '', /\/|ENOTDIR/);
  assert.match(String(logged[0]?.['message']), /ENOTDIR.*model\.gguf/);
});

test('a model that nobody knows is not asked for again', async () => {
  let tries = 0;
  await using models = modelsOf(async () => {
    tries += 1;
    throw new Fault('missing', 'gateway.unknown_model', 'nothing in /srv/models');
  }, []);
  models.transport('m');
  await until(() => models.state('m').kind === 'failed', 'it is given up');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(tries, 1);
  assert.equal(models.progress('m'), 'm: its file cannot be used (gateway.unknown_model); the log says why');
});

function modelsOf(source: ModelSource, logged: LogFacts[]): LocalModels {
  const log: Log = { info() {}, warn() {}, error: (_event, facts = {}) => void logged.push(facts) };
  const system = systemWorld();
  const clock: World['clock'] = {
    ...system.clock,
    sleep: async (_ms, signal) => system.clock.sleep(1, signal),
  };
  return new LocalModels({ source, world: { ...system, clock }, log });
}
