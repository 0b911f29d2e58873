import type { HealthChecks } from '../gateway/health/checks.ts';
import type { EndpointState, Router } from '../gateway/routing/router.ts';
import { Metrics } from './metrics.ts';
import type { Site } from './site.ts';

/** Where the figures come from. */
export interface Measured {
  readonly site: Site;
  readonly router: Router;
  readonly health: HealthChecks;
}

/** The figures of a site, read when they are asked for. */
export function siteMetrics({ site, router, health }: Measured): Metrics {
  const metrics = new Metrics();
  metrics.gauge('sekisho_ledger_entries', 'Durable leaves of the log.', () => site.ledger.size());
  metrics.gauge('sekisho_ledger_writable', '1 when leaves can be appended.', () =>
    site.ledger.trouble() === null ? 1 : 0,
  );
  metrics.gauge(
    'sekisho_decisions_dropped',
    'Decisions whose facts were not kept for policy what-if.',
    () => site.decisions.dropped,
  );
  metrics.gauge('sekisho_resident_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  routingMetrics(metrics, router);
  healthMetrics(metrics, health);
  return metrics;
}

function routingMetrics(metrics: Metrics, router: Router): void {
  const of = (read: (state: EndpointState) => number) => () =>
    router.states().map((state) => ({ labels: { endpoint: state.endpoint }, value: read(state) }));
  metrics.gauges(
    'sekisho_endpoint_requests',
    'Requests at an endpoint.',
    of(({ inside }) => inside),
  );
  metrics.gauges(
    'sekisho_endpoint_waiting',
    'Requests that wait for a place at an endpoint.',
    of(({ waiting }) => waiting),
  );
  metrics.gauges(
    'sekisho_endpoint_broken',
    '1 from the failures that opened the breaker of an endpoint until an answer closes it.',
    of(({ broken }) => (broken ? 1 : 0)),
  );
}

function healthMetrics(metrics: Metrics, health: HealthChecks): void {
  metrics.gauges(
    'sekisho_provider_well',
    '1 when the last health check of a provider was answered well, 0 when it failed.',
    () =>
      health
        .states()
        .filter(({ state }) => state !== 'unclear')
        .map(({ provider, state }) => ({ labels: { provider }, value: state === 'well' ? 1 : 0 })),
  );
}
