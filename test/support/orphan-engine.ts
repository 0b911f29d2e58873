import { silentLog } from '../../src/core/log.ts';
import { systemWorld } from '../../src/core/world.ts';
import { Engine } from '../../src/gateway/llama/engine.ts';

// A site that dies without a word: starts an engine on the model named, tells its process id, and waits to be killed.
const engine = new Engine({
  modelPath: process.argv[2] ?? null,
  threads: 1,
  contextSize: 256,
  log: silentLog,
  world: systemWorld(),
});
const look = setInterval(() => {
  if (engine.state().kind !== 'ready') return;
  clearInterval(look);
  process.stdout.write(`${engine.pid()}\n`);
  setInterval(() => {}, 1_000);
}, 10);
