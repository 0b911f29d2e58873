import { loopbackProvider } from '../test/support/governance.ts';
import { startSite, type Site } from '../test/support/site.ts';
import type { Load } from './driver.ts';
import type { Job, Measured, Target } from './load.ts';
import { cpuMicroseconds, pinTo } from './machine.ts';
import type { Round } from './report.ts';
import type { Summary } from './statistics.ts';

const CONNECTIONS = 32;
const WARM_UP_REQUESTS = 10_000;
const WARM_UP_STRETCHES = 4;
const STEADY_PER_SECOND = 500;
const STREAMS_PER_SECOND = 100;
const RECEIPTS = 300;
const LEAVINGS = 100;

/** A site with every safety on, whose one model is the provider of the measurement. */
export function startBenchSite(provider: string): Promise<Site> {
  return startSite({
    wrap: pinTo('site'),
    governance: {
      providers: [
        loopbackProvider({ id: 'near', url: provider, models: { fast: 'c2', slow: 'c2', endless: 'c2' } }),
      ],
      models: {
        chat: { from: [{ endpoint: 'near/fast' }] },
        fast: { from: [{ endpoint: 'near/fast' }] },
        slow: { from: [{ endpoint: 'near/slow' }] },
        endless: { from: [{ endpoint: 'near/endless' }] },
      },
    },
  });
}

/** The measurements that need the site, and how many requests they made of it. */
export class SiteBench {
  requests = 0;
  readonly #load: Load;
  readonly #site: Site;
  readonly #provider: string;
  readonly #direct: Target;
  readonly #through: Target;

  constructor(load: Load, provider: string, site: Site) {
    this.#load = load;
    this.#site = site;
    this.#provider = provider;
    this.#direct = { origin: provider, key: 'none', model: 'fast' };
    this.#through = { origin: site.url, key: site.adminKey, model: 'chat' };
  }

  /** Runs until the code of every process is compiled, at most a few stretches. */
  async warmUp(stretch: number): Promise<void> {
    const job = { kind: 'closed', connections: CONNECTIONS, ms: stretch } as const;
    await this.#load.run({ ...job, target: this.#direct });
    for (let i = 0; i < WARM_UP_STRETCHES && this.requests < WARM_UP_REQUESTS; i++)
      await this.#cpu({ ...job, target: this.#through });
  }

  async round(stretch: number): Promise<Round> {
    const closed = { kind: 'closed', connections: CONNECTIONS, ms: stretch } as const;
    const steady = { kind: 'steady', perSecond: STEADY_PER_SECOND, ms: stretch, stream: false } as const;
    const streams = { ...steady, perSecond: STREAMS_PER_SECOND, stream: true } as const;
    const [direct, through] = [{ target: this.#direct }, { target: this.#through }];
    const most = { direct: await this.#load.run({ ...closed, ...direct }) };
    const [mostThrough, cpuClosed] = await this.#cpu({ ...closed, ...through });
    const even = { direct: await this.#load.run({ ...steady, ...direct }) };
    const [evenThrough, cpuSteady] = await this.#cpu({ ...steady, ...through });
    const first = { direct: await this.#load.run({ ...streams, ...direct }) };
    const [firstThrough] = await this.#cpu({ ...streams, ...through });
    return {
      direct: { perSecond: most.direct.perSecond, steady: even.direct.whole, first: first.direct.first },
      through: { perSecond: mostThrough.perSecond, steady: evenThrough.whole, first: firstThrough.first },
      cpu: { closed: cpuClosed, steady: cpuSteady },
    };
  }

  async receipts(): Promise<Summary> {
    this.requests += RECEIPTS;
    return (await this.#load.run({ kind: 'receipts', target: this.#through, rounds: RECEIPTS })).whole;
  }

  async leaving(): Promise<Summary> {
    this.requests += LEAVINGS;
    const target = { ...this.#through, model: 'endless' };
    const job = { kind: 'leaving', target, provider: this.#provider, rounds: LEAVINGS } as const;
    return (await this.#load.run(job)).whole;
  }

  async #cpu(job: Job): Promise<[Measured, number]> {
    const before = cpuMicroseconds(this.#site.pid);
    const measured = await this.#load.run(job);
    this.requests += measured.whole.count;
    return [measured, (cpuMicroseconds(this.#site.pid) - before) / measured.whole.count];
  }
}
