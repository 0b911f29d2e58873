import { Worker } from 'node:worker_threads';
import { SECOND } from '../../core/duration.ts';
import { Fault } from '../../core/fault.ts';
import type { WhatIf } from '../../policy/what-if.ts';
import type { WhatIfAnswer, WhatIfTask } from './what-if-protocol.ts';

const MAX_MS = 60 * SECOND;
const MAX_HEAP_MB = 256;

// The worker lies beside this file, compiled when this one is; the compiler rewrites imports, not URLs.
const WORKER = import.meta.url.endsWith('.ts')
  ? new URL('./what-if-worker.ts', import.meta.url)
  : new URL('./what-if-worker.js', import.meta.url);

/**
 * Decides in a thread of its own: requests go on meanwhile, and what Cedar keeps of a bundle goes with the thread.
 * @throws Fault `policy.bundle`, `policy.draft`, `policy.invalid` for a bundle that cannot be decided with,
 * `server.what_if_ended` when it takes too long.
 */
export async function whatIfApart(
  task: WhatIfTask,
  caller: AbortSignal,
): Promise<{ given: string; answer: WhatIf }> {
  const signal = AbortSignal.any([caller, AbortSignal.timeout(MAX_MS)]);
  const { promise, resolve, reject } = Promise.withResolvers<WhatIfAnswer>();
  const worker = new Worker(WORKER, {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  worker.once('message', resolve);
  worker.once('error', (cause) => reject(ended(cause)));
  worker.once('exit', () => reject(ended()));
  const give = (): void => reject(ended());
  signal.addEventListener('abort', give, { once: true });
  try {
    const result = await promise;
    if (result.kind === 'refused') throw new Fault('invalid', result.code, result.message);
    return result;
  } finally {
    signal.removeEventListener('abort', give);
    await worker.terminate();
  }
}

function ended(cause?: unknown): Fault {
  const message = 'the comparison was ended before it was done: it took too long or too much memory';
  return new Fault('unavailable', 'server.what_if_ended', message, cause === undefined ? {} : { cause });
}
