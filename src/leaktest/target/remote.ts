import { Fault } from '../../core/fault.ts';
import type { Target } from '../types.ts';

/** A gateway that its operator configured for the suite's far sides and started; docs/leak-test.md says how. */
export function remoteTarget(url: string, headers: Readonly<Record<string, string>>): Target {
  return {
    name: url,
    configurable: false,
    open: async () => ({
      url: new URL(url).origin,
      headers,
      reasons: false,
      folder: null,
      output: () => '',
      metrics: async () => '',
      apply: async () => {
        throw new Fault('internal', 'leaktest.not_configurable', 'the suite cannot configure this target');
      },
      [Symbol.asyncDispose]: async () => {},
    }),
  };
}
