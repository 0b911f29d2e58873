import { parentPort, workerData } from 'node:worker_threads';
import { toFault } from '../../core/fault.ts';
import { parseBundle } from '../../policy/bundle.ts';
import { createPolicyEngine } from '../../policy/engine.ts';
import { whatIf } from '../../policy/what-if.ts';
import { parseAny } from '../signed-bundle.ts';
import type { WhatIfAnswer, WhatIfTask } from './what-if-protocol.ts';

// Started by what-if.ts alone, which hands over this type.
const task = workerData as WhatIfTask;
const answer = answerTo(task);
parentPort?.postMessage(answer, []);

function answerTo({ running, given, counted, now }: WhatIfTask): WhatIfAnswer {
  try {
    const engine = createPolicyEngine(parseAny(given).bundle);
    const engines = { running: createPolicyEngine(parseBundle(running)), given: engine };
    return { kind: 'done', given: engine.hash, answer: whatIf(engines, counted, now) };
  } catch (thrown) {
    const { kind, code, message } = toFault(thrown);
    return kind === 'internal'
      ? { kind: 'refused', code: 'policy.bundle', message: 'this bundle cannot be decided with' }
      : { kind: 'refused', code, message };
  }
}
