// Opens a site on a data directory and erases a request, ending itself at the step that it is told.
import { readEnv } from '../../src/core/env.ts';
import { silentLog } from '../../src/core/log.ts';
import { systemWorld } from '../../src/core/world.ts';
import { openSite } from '../../src/server/site.ts';
import { resolveConfig } from '../../src/server/start.ts';

const [config = '', data = '', rid = '', fatal = ''] = process.argv.slice(2);
const env = readEnv();
await using site = await openSite({
  ...resolveConfig(env, { config, data }),
  anchorDir: null,
  modelsDir: data,
  env,
  world: systemWorld(),
  log: silentLog,
  eraseStep: async (step) => {
    if (step === fatal) process.kill(process.pid, 'SIGKILL');
  },
});
await site.eraser.erase(rid, 'appi-35', { id: 'k_test', tenant: 'o_test', roles: ['admin'] });
