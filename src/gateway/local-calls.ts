import type { Clock } from '../core/world.ts';
import { Fault } from '../core/fault.ts';
import type { EgressCall, EgressHandler } from '../egress/types.ts';

/** The calls that run on this machine's engines, by the bundle that allowed them, so that they can be ended. */
export class LocalCalls {
  readonly #running = new Map<string, Set<() => void>>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts a call and keeps it until its handler has heard the end. */
  start(
    bundle: string,
    handler: EgressHandler,
    dispatch: (handler: EgressHandler) => EgressCall,
  ): EgressCall {
    const calls = this.#running.get(bundle) ?? new Set();
    this.#running.set(bundle, calls);
    const cut = (): void => {
      calls.delete(cut);
      call.abort();
      handler.onError(new Fault('unavailable', 'egress.interrupted', 'the bundle no longer runs'));
    };
    calls.add(cut);
    const call = dispatch({
      onHead: (status, headers) => handler.onHead(status, headers),
      onData: (chunk) => handler.onData(chunk),
      onEnd() {
        calls.delete(cut);
        handler.onEnd();
      },
      onError(fault) {
        calls.delete(cut);
        handler.onError(fault);
      },
    });
    return {
      resume: () => call.resume(),
      abort() {
        calls.delete(cut);
        call.abort();
      },
      observed: () => call.observed(),
    };
  }

  /** The bundle no longer runs: what it allowed has `graceMs` to end. */
  async retire(bundle: string, graceMs: number): Promise<void> {
    const calls = this.#running.get(bundle);
    this.#running.delete(bundle);
    if (calls === undefined || calls.size === 0) return;
    if (graceMs > 0) await this.#clock.sleep(graceMs);
    for (const cut of calls) cut();
  }
}
