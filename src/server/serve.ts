import { isLoopback, parseIp } from '../core/address.ts';
import type { Config } from '../core/config.ts';
import { bind, type BoundRoute } from '../core/route.ts';
import { errorBody } from '../gateway/errors.ts';
import { bundleEndpoints } from '../gateway/endpoints.ts';
import type { Gateway } from '../gateway/govern.ts';
import { Fault } from '../core/fault.ts';
import { hostAllowed } from '../identity/host.ts';
import { proxyTrust } from '../identity/proxy.ts';
import { identityRoutes } from '../identity/routes.ts';
import { ledgerRoutes } from '../ledger/routes.ts';
import { createApp } from './app.ts';
import { getHealth, getMetrics, getOpenApi, getReady } from './contract.ts';
import { listen, type Listening } from './listen.ts';
import { Metrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { readiness } from './ready.ts';
import type { Site } from './site.ts';
import { surfaces } from './surfaces.ts';

/** A site that answers. */
export interface Serving extends AsyncDisposable {
  readonly url: string;
  /** Takes over the parts of a new configuration that can change while requests run. */
  reload(config: Config): void;
  /** Takes no new requests and lets running ones end within `ms`. */
  drain(ms: number): Promise<void>;
}

/** Opens the HTTP port of a site. @throws Fault `server.port_in_use`, `gateway.secret_missing`. */
export async function serve(site: Site): Promise<Serving> {
  let current = site.config;
  let endpoints = endpointsOf(site, current);
  const gateway: Gateway = {
    ledger: site.ledger,
    world: site.world,
    log: site.log,
    policy: () => site.policy,
    endpoint(id) {
      const endpoint = endpoints.get(id);
      if (endpoint !== undefined) return endpoint;
      throw new Fault('internal', 'gateway.no_endpoint', `the bundle allows ${id}, which has no adapter`);
    },
  };
  const { host, tls } = current.server;
  const allowed = (header: string | undefined): boolean => hostAllowed(header, current.server);
  const authenticate: typeof site.identity.authenticate = (headers) => site.identity.authenticate(headers);
  const metrics = siteMetrics(site);
  const app = createApp({
    routes: siteRoutes(site, metrics),
    hostAllowed: allowed,
    authenticate,
    log: site.log,
  });
  const listening = await listen({
    host,
    port: current.server.port,
    tls: tls === null ? null : tlsOf(tls),
    serve: surfaces({ gateway, hostAllowed: allowed, authenticate, log: site.log, metrics }),
    admits: admission(current),
    fetch: (request) => app.fetch(request),
    malformed: () =>
      errorBody({ status: 400, code: 'invalid_request', message: 'the request is not HTTP/1.1' }),
  });
  return {
    url: urlOf(current, listening),
    reload(config) {
      endpoints = endpointsOf(site, config);
      current = config;
    },
    drain: async (ms) => listening.drain(ms),
    [Symbol.asyncDispose]: async () => listening[Symbol.asyncDispose](),
  };
}

function endpointsOf(site: Site, config: Config): ReturnType<typeof bundleEndpoints> {
  return bundleEndpoints(site.policy, {
    egress: site.egress,
    secrets: config.secrets,
    local: (upstream) => site.models.transport(upstream),
    timeoutMs: config.egress.timeoutMs,
  });
}

// Without TLS of its own a site beyond loopback speaks only with the proxies that end TLS for it.
function admission({ server: { host, tls, trustProxy } }: Config): (peer: string) => boolean {
  if (tls !== null || isLoopbackName(host)) return () => true;
  const proxies = proxyTrust(trustProxy);
  return (peer) => proxies.trusts(peer) || isLoopbackName(peer);
}

function isLoopbackName(name: string): boolean {
  const address = parseIp(name);
  return address === null ? name === 'localhost' : isLoopback(address);
}

function tlsOf(tls: NonNullable<Config['server']['tls']>): Parameters<typeof listen>[0]['tls'] {
  const { cert, key, clientCa } = tls;
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key.reveal()),
    clientCa: clientCa === null ? null : Buffer.from(clientCa),
  };
}

function urlOf(config: Config, listening: Listening): string {
  const { host, tls } = config.server;
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${tls === null ? 'http' : 'https'}://${shown}:${listening.port}`;
}

function siteRoutes(site: Site, metrics: Metrics): readonly BoundRoute[] {
  const own = [
    bind(getHealth, async () => ({ json: { status: 'alive' } })),
    bind(getReady, async () => {
      const state = readiness(site);
      return { status: state.ready ? 200 : 503, json: state };
    }),
    bind(getMetrics, async () => ({
      content: { type: getMetrics.produces, bytes: Buffer.from(metrics.text()) },
    })),
  ];
  const rooms = [...ledgerRoutes(site.ledger), ...identityRoutes(site.identity, site.world), ...own];
  const described = [...rooms.map(({ route }) => route), getOpenApi];
  return [...rooms, bind(getOpenApi, async () => ({ json: openApiDocument(described) }))];
}

function siteMetrics(site: Site): Metrics {
  const metrics = new Metrics();
  metrics.gauge('sekisho_ledger_entries', 'Durable leaves of the log.', () => site.ledger.size());
  metrics.gauge('sekisho_ledger_writable', '1 when leaves can be appended.', () =>
    site.ledger.trouble() === null ? 1 : 0,
  );
  metrics.gauge('sekisho_resident_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  return metrics;
}
