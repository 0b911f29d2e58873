import { Fault } from '../../core/fault.ts';
import type { World } from '../../core/world.ts';

export interface Watchdog {
  touch(): void;
  stop(): void;
}

/** Calls `expired` once `timeoutMs` pass without a touch, unless it is stopped. */
export function watchdog(world: World, timeoutMs: number, expired: () => void): Watchdog {
  const stop = new AbortController();
  let last = world.clock.elapsed();
  // One sleep is under way at a time, however many tokens come: it looks how long ago the last one came.
  const wait = (ms: number): void => {
    world.clock.sleep(ms, stop.signal).then(
      () => {
        const left = last + timeoutMs - world.clock.elapsed();
        if (stop.signal.aborted) return;
        if (left <= 0) expired();
        else wait(left);
      },
      () => {},
    );
  };
  wait(timeoutMs);
  return {
    touch() {
      last = world.clock.elapsed();
    },
    stop: () => stop.abort(),
  };
}

/** What a call ends with whose watchdog expired. */
export function silent(): Fault {
  const message = 'the local model gave nothing for too long';
  return new Fault('unavailable', 'egress.interrupted', message, { details: { silent: true } });
}
