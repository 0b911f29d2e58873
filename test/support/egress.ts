import { once } from 'node:events';
import type { EventEmitter } from 'node:events';
import { Fault } from '../../src/core/fault.ts';
import { silentLog } from '../../src/core/log.ts';
import { systemWorld } from '../../src/core/world.ts';
import type { World } from '../../src/core/world.ts';
import { INSIDE } from '../../src/egress/address.ts';
import type { Prefixes } from '../../src/egress/address.ts';
import { createGuardedEgress } from '../../src/egress/egress.ts';
import type { EgressOptions } from '../../src/egress/egress.ts';
import type { Removable } from '../../src/egress/guards.ts';
import { mintPermit, type Permit } from '../../src/egress/permit.ts';
import type {
  Egress,
  EgressCall,
  EgressRequest,
  EndpointChannel,
  EndpointNetwork,
} from '../../src/egress/types.ts';

export const BUNDLE = 'sha256:b1';

/** An egress on loopback with some guards taken out. */
export function egressWithout(
  off: readonly Removable[],
  options: Partial<EgressOptions> = {},
  building: Prefixes = INSIDE,
): Egress {
  return createGuardedEgress(
    { resolvers: [], ca: null, world: systemWorld(), log: silentLog, posture: () => 'private', ...options },
    { on: (guard) => !off.includes(guard) },
    building,
  );
}

/** Facts of a provider on loopback. */
export function network(port: number, facts: Partial<EndpointNetwork> = {}): EndpointNetwork {
  return {
    endpoint: 'jp-a/m',
    url: `http://127.0.0.1:${port}`,
    hosts: ['127.0.0.1'],
    addresses: ['127.0.0.0/8'],
    pins: [],
    issuer: null,
    proxy: null,
    ...facts,
  };
}

export function permit(endpoint = 'jp-a/m', bundle = BUNDLE) {
  return mintPermit({ rid: 'r_test', endpoint, bundle, control: null });
}

export const PROMPT: EgressRequest = {
  method: 'POST',
  path: '/v1/chat/completions',
  headers: { 'content-type': 'application/json', authorization: 'Bearer k' },
  body: Buffer.from('{"prompt":"CANARY"}'),
  timeoutMs: 5_000,
};

/** What became of one exchange. */
export interface Result {
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** `<code>` or `egress.denied:<guard>`, or null when it ended well. */
  readonly error: string | null;
  readonly call: EgressCall;
}

/** Sends one request with a fresh permit, unless given one, and waits for its end. */
export function send(
  channel: EndpointChannel,
  request: Partial<EgressRequest> = {},
  using: Permit = permit(),
): Promise<Result> {
  return new Promise((resolve) => {
    let status: number | null = null;
    let headers: Result['headers'] = {};
    let body = '';
    const call: EgressCall = channel.dispatch(
      using,
      { ...PROMPT, ...request },
      {
        onHead(got, with_) {
          status = got;
          headers = with_;
        },
        onData(chunk) {
          body += chunk.toString('latin1');
          return true;
        },
        onEnd: () => resolve({ status, headers, body, error: null, call }),
        onError: (fault) => resolve({ status, headers, body, error: label(fault), call }),
      },
    );
  });
}

/** `<code>`, with the guard if one refused. */
export function label(fault: unknown): string {
  if (!(fault instanceof Fault)) throw fault;
  return fault.code === 'egress.denied' ? `egress.denied:${String(fault.details['guard'])}` : fault.code;
}

/** What a function that must throw throws, labelled. */
export async function refused(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (thrown) {
    return label(thrown);
  }
  return 'nothing';
}

/** Waits for an event unless the condition holds already. */
export async function until(condition: () => boolean, emitter: EventEmitter, event: string): Promise<void> {
  while (!condition()) await once(emitter, event);
}

/** The system's world with a clock whose sleeps end only when told to. */
export function heldWorld(): { world: World; wake: () => void } {
  const sleepers: (() => void)[] = [];
  const real = systemWorld();
  const sleep = (_ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      sleepers.push(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
  return {
    world: { ...real, clock: { ...real.clock, sleep } },
    wake: () => sleepers.splice(0).forEach((resolve) => resolve()),
  };
}
