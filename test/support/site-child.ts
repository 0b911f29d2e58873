import { readEnv } from '../../src/core/env.ts';
import { silentLog } from '../../src/core/log.ts';
import { systemWorld } from '../../src/core/world.ts';
import { openSite, type Site, type SiteOptions } from '../../src/server/site.ts';
import { resolveConfig } from '../../src/server/start.ts';

/** Opens a site on a data directory in this process, which `steps` may end. */
export async function openChildSite(
  config: string,
  data: string,
  steps: Pick<SiteOptions, 'applyStep' | 'eraseStep'>,
): Promise<Site> {
  const env = readEnv();
  return openSite({
    ...resolveConfig(env, { config, data }),
    anchorDir: null,
    modelsDir: data,
    env,
    world: systemWorld(),
    log: silentLog,
    ...steps,
  });
}

/** Ends this process at the step of that name. */
export function endAt(fatal: string): (step: string) => Promise<void> {
  return async (step) => {
    if (step === fatal) process.kill(process.pid, 'SIGKILL');
  };
}
