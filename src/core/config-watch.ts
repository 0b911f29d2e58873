import { createHash } from 'node:crypto';

import { loadConfig, type Config, type ConfigEnv } from './config.ts';
import { toFault, type Fault } from './fault.ts';
import type { Clock } from './world.ts';

const POLL_MS = 500;

export interface ConfigWatch {
  readonly file: string;
  readonly env: ConfigEnv;
  readonly clock: Clock;
  /** What runs now. */
  readonly current: Config;
  /** Called with each new configuration that can be used. */
  onChange(config: Config): void;
  /** Called once for each file that cannot be used; the running configuration stays. */
  onError(fault: Fault): void;
}

/**
 * Watches a configuration and the files it names until disposed. Reading beats file system events: they are lost on
 * network disks and when an editor or a container platform swaps a symbolic link. A change counts when two readings
 * agree, so that a half-written file does not.
 */
export function watchConfig(watch: ConfigWatch): Disposable {
  const stop = new AbortController();
  void poll(watch, stop.signal);
  return { [Symbol.dispose]: () => stop.abort() };
}

interface Reading {
  readonly print: string;
  readonly result: Config | Fault;
}

async function poll(watch: ConfigWatch, signal: AbortSignal): Promise<void> {
  let running = fingerprint(watch.current);
  let last = running;
  while (await slept(watch.clock, signal)) {
    const { print, result } = read(watch);
    const steady = print === last;
    last = print;
    if (!steady || print === running) continue;
    running = print;
    if ('kind' in result) watch.onError(result);
    else watch.onChange(result);
  }
}

async function slept(clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(POLL_MS, signal);
    return !signal.aborted;
  } catch {
    return false;
  }
}

function read({ file, env }: ConfigWatch): Reading {
  try {
    const result = loadConfig(file, env);
    return { print: fingerprint(result), result };
  } catch (error) {
    const result = toFault(error, 'core.config');
    return { print: `unusable: ${result.message}`, result };
  }
}

function fingerprint(config: Config): string {
  const { tls } = config.server;
  const loaded = [tls?.cert, tls?.key.reveal(), tls?.clientCa, config.egress.ca];
  const secrets = [...config.secrets].map(([name, secret]) => [name, secret.reveal()]);
  return createHash('sha256')
    .update(JSON.stringify([config.text, loaded, secrets]))
    .digest('hex');
}
