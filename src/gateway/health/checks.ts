import { toFault, type Fault } from '../../core/fault.ts';
import type { Log } from '../../core/log.ts';
import type { Clock } from '../../core/world.ts';
import type { ControlRoad } from '../../crossing/control.ts';
import type { Router } from '../routing/router.ts';
import type { HealthTarget } from './targets.ts';

/** The longest answer to a check; only its status matters. */
const MAX_ANSWER = 1 << 20;

/** What the last check of a provider showed; `unclear` when it says nothing about whether requests would be answered. */
export interface ProviderHealth {
  readonly provider: string;
  readonly state: 'well' | 'failing' | 'unclear';
  readonly detail: string;
  /** Failing checks in a row. */
  readonly failures: number;
}

export interface HealthOptions {
  readonly control: Pick<ControlRoad, 'ask'>;
  readonly router: {
    readonly terms: { readonly health: Router['terms']['health'] };
    gate(endpoint: string): { checked(well: boolean): void };
  };
  readonly clock: Clock;
  readonly log: Log;
  /** Those of the running bundle; asked anew for each round. */
  targets(): readonly HealthTarget[];
}

/** Asks providers at a steady interval whether they are well, without data of anybody, and tells their endpoints' gates. */
export class HealthChecks implements AsyncDisposable {
  readonly #options: HealthOptions;
  readonly #over = new AbortController();
  #running: Promise<void> | null = null;
  #known = new Map<string, ProviderHealth>();

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Checks from now on until disposed of. */
  start(): void {
    this.#running ??= this.#rounds();
  }

  /** The providers that are checked. */
  states(): readonly ProviderHealth[] {
    return [...this.#known.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #rounds(): Promise<void> {
    const { clock, router } = this.#options;
    const { signal } = this.#over;
    while (!signal.aborted) {
      await this.#round(signal);
      await clock.sleep(router.terms.health.everyMs, signal).catch(() => {});
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const targets = this.#options.targets();
    const results = await Promise.all(targets.map(async (target) => this.#check(target, signal)));
    if (signal.aborted) return;
    this.#known = new Map(results.map((result) => [result.provider, result]));
    for (const [index, { endpoints }] of targets.entries()) this.#tell(endpoints, results[index]);
  }

  async #check(target: HealthTarget, signal: AbortSignal): Promise<ProviderHealth> {
    const { provider } = target;
    const before = this.#known.get(provider);
    const { state, detail } = await this.#ask(target, signal);
    const failures = state === 'failing' ? (before?.failures ?? 0) + 1 : 0;
    if (state !== (before?.state ?? 'well')) this.#options.log.warn('health.changed', { provider, state });
    return { provider, state, detail, failures };
  }

  async #ask(target: HealthTarget, signal: AbortSignal): Promise<Judged> {
    const { control, clock, router } = this.#options;
    const { timeoutMs } = router.terms.health;
    const done = new AbortController();
    const late = new AbortController();
    void clock.sleep(timeoutMs, done.signal).then(
      () => late.abort(),
      () => {},
    );
    try {
      const { status } = await control.ask(target.destination, target.bundle, {
        headers: { accept: 'application/json', ...target.credentials() },
        body: null,
        maxAnswer: MAX_ANSWER,
        timeoutMs,
        signal: AbortSignal.any([signal, late.signal]),
      });
      return judged(status);
    } catch (thrown) {
      return late.signal.aborted
        ? { state: 'failing', detail: `no answer within ${timeoutMs} ms` }
        : failed(toFault(thrown));
    } finally {
      done.abort();
    }
  }

  #tell(endpoints: readonly string[], result: ProviderHealth | undefined): void {
    const { router } = this.#options;
    if (result === undefined || result.state === 'unclear') return;
    const well = result.state === 'well';
    if (!well && result.failures < router.terms.health.failures) return;
    for (const endpoint of endpoints) router.gate(endpoint).checked(well);
  }
}

type Judged = Pick<ProviderHealth, 'state' | 'detail'>;

function judged(status: number): Judged {
  const detail = `answered ${status}`;
  if (status >= 200 && status < 300) return { state: 'well', detail };
  return { state: status >= 500 ? 'failing' : 'unclear', detail };
}

// A refusal here says nothing about the far side.
const FAR_SIDE: ReadonlySet<string> = new Set(['egress.unreachable', 'egress.interrupted', 'egress.garbage']);

function failed({ code, message }: Fault): Judged {
  return { state: FAR_SIDE.has(code) ? 'failing' : 'unclear', detail: message };
}
