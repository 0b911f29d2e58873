import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Gateway, Target } from '../types.ts';
import { startLeakyProxy } from '../world/leaky-proxy.ts';

/** A proxy that leaks by every way of the suite: what passes against it is a case that proves nothing. */
export const leakyTarget: Target = {
  name: 'leaky proxy',
  configurable: true,
  async open(scene): Promise<Gateway> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sekisho-leaky-'));
    let said = '';
    const proxy = await startLeakyProxy(scene, async (line) => {
      said += line;
      await appendFile(path.join(folder, 'requests.log'), line);
    });
    return {
      url: proxy.url,
      headers: {},
      reasons: false,
      folder,
      output: () => said,
      metrics: async () => said,
      apply: async () => ({ status: 200, headers: {}, text: 'applied' }),
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};
