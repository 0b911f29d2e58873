import { isLoopback, parseIp } from '../core/address.ts';
import type { Config } from '../core/config.ts';
import { bind, type BoundRoute } from '../core/route.ts';
import type { Clock } from '../core/world.ts';
import { errorBody } from '../gateway/errors.ts';
import { bundleEndpoints, type EndpointSources } from '../gateway/endpoints.ts';
import type { Gateway } from '../gateway/govern.ts';
import { HealthChecks } from '../gateway/health/checks.ts';
import { healthTargets } from '../gateway/health/targets.ts';
import { Router } from '../gateway/routing/router.ts';
import { LocalCalls } from '../gateway/local-calls.ts';
import { Fault } from '../core/fault.ts';
import { hostAllowed } from '../identity/host.ts';
import { proxyTrust } from '../identity/proxy.ts';
import { approvalRoutes, identityRoutes } from '../identity/routes.ts';
import { ledgerRoutes } from '../ledger/routes.ts';
import type { PolicyEngine } from '../policy/types.ts';
import { MINUTE, SECOND } from '../core/duration.ts';
import { createApp } from './app.ts';
import { getHealth, getMetrics, getOpenApi, getReady } from './contract.ts';
import { decisionRoutes } from './decisions/routes.ts';
import { frontDoor } from './front-door.ts';
import { listen, type Listening, type ListenTls } from './listen.ts';
import type { Metrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { erasureRoutes } from './erasure/erasure.ts';
import { policyRoutes } from './policy-routes.ts';
import { readiness } from './ready.ts';
import { waitsForRestart } from './restart.ts';
import { siteMetrics } from './site-metrics.ts';
import type { Site } from './site.ts';
import { surfaces } from './surfaces.ts';

/** A site that answers. */
export interface Serving extends AsyncDisposable {
  readonly url: string;
  /**
   * Takes over the parts of a new configuration that can change while requests run; gives the names of the changed
   * settings that wait for the next start.
   */
  reload(config: Config): readonly string[];
  /** Takes no new requests, lets running ones end within `ms`, cuts the rest and waits for their outcomes. */
  drain(ms: number): Promise<void>;
}

type Endpoints = ReturnType<typeof bundleEndpoints>;

/** What the outcomes of exchanges that were cut may take; a disk that hangs keeps no process from its end. */
const OUTCOMES = 2 * SECOND;

/** Opens the HTTP port of a site. @throws Fault `server.port_in_use`, `gateway.secret_missing`. */
export async function serve(site: Site): Promise<Serving> {
  let current = site.config;
  const localCalls = new LocalCalls(site.world.clock);
  const endpointsOf = (engine: PolicyEngine, config: Config): Endpoints =>
    bundleEndpoints(engine, sourcesOf(site, config, localCalls));
  let endpoints = endpointsOf(site.policy, current);
  site.governor.onChange((engine) => {
    const next = endpointsOf(engine, current);
    return () => (endpoints = next);
  });
  site.governor.onRetire((bundle, graceMs) => void localCalls.retire(bundle, graceMs ?? MINUTE));
  const router = new Router(site.world, () => current.routing);
  const health = new HealthChecks({
    control: site.control,
    router,
    clock: site.world.clock,
    log: site.log,
    targets: () => healthTargets(site.policy, current.secrets),
  });
  const gateway: Gateway = {
    router,
    ledger: site.ledger,
    gate: site.governor.gate,
    world: site.world,
    log: site.log,
    policy: () => site.policy,
    approved: (question) => site.approvals.holds(question),
    decided: (decision) => site.decisions.note(decision),
    endpoint(id) {
      const endpoint = endpoints.get(id);
      if (endpoint !== undefined) return endpoint;
      throw new Fault('internal', 'gateway.no_endpoint', `the bundle allows ${id}, which has no adapter`);
    },
  };
  const { host, tls } = current.server;
  const authenticate: typeof site.identity.authenticate = (headers) => site.identity.authenticate(headers);
  const admits = admission(site.config);
  const metrics = siteMetrics({ site, router, health });
  const app = createApp({
    routes: siteRoutes(site, { metrics, router, health }),
    authenticate,
    log: site.log,
  });
  const surface = surfaces({
    gateway,
    authenticate,
    log: site.log,
    metrics,
    settled: async () => site.governor.settled(),
  });
  const listening = await listen({
    host,
    port: current.server.port,
    tls: tls === null ? null : tlsOf(tls),
    refuse: frontDoor({ hostAllowed: (header) => hostAllowed(header, current.server), metrics }),
    serve: (incoming) => surface.serve(incoming),
    admits: (peer) => admits(peer, current.server.trustProxy),
    fetch: (request) => app.fetch(request),
    malformed: () =>
      errorBody({ status: 400, code: 'invalid_request', message: 'the request is not HTTP/1.1' }),
  });
  health.start();
  const drain = async (ms: number): Promise<void> => {
    await health[Symbol.asyncDispose]();
    await listening.drain(ms);
    await within(OUTCOMES, site.world.clock, surface.settled());
  };
  return {
    url: urlOf(current, listening),
    reload(config) {
      const next = endpointsOf(site.policy, config);
      if (config.server.tls !== null) listening.useTls(tlsOf(config.server.tls));
      endpoints = next;
      current = config;
      return waitsForRestart(site.config, config);
    },
    drain,
    [Symbol.asyncDispose]: async () => drain(0),
  };
}

async function within(ms: number, clock: Clock, work: Promise<void>): Promise<void> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).catch(() => {});
  await Promise.race([work, late]);
  done.abort();
}

function sourcesOf(site: Site, config: Config, localCalls: LocalCalls): EndpointSources {
  return {
    egress: site.egress,
    secrets: config.secrets,
    local: (upstream) => site.models.transport(upstream),
    localCalls,
    timeoutMs: config.egress.timeoutMs,
  };
}

// Without TLS of its own a site beyond loopback speaks only with the proxies that end TLS for it.
export function admission(opened: Config): (peer: string, trustProxy: readonly string[]) => boolean {
  const { host, tls } = opened.server;
  if (tls !== null || isLoopbackName(host)) return () => true;
  return (peer, trustProxy) => proxyTrust(trustProxy).trusts(peer) || isLoopbackName(peer);
}

function isLoopbackName(name: string): boolean {
  const address = parseIp(name);
  return address === null ? name === 'localhost' : isLoopback(address);
}

export function tlsOf(tls: NonNullable<Config['server']['tls']>): ListenTls {
  const { cert, key, clientCa } = tls;
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key.reveal()),
    clientCa: clientCa === null ? null : Buffer.from(clientCa),
  };
}

export function urlOf(config: Config, listening: Listening): string {
  const { host, tls } = config.server;
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${tls === null ? 'http' : 'https'}://${shown}:${listening.port}`;
}

function siteRoutes(
  site: Site,
  { metrics, router, health }: { metrics: Metrics; router: Router; health: HealthChecks },
): readonly BoundRoute[] {
  const own = [
    bind(getHealth, async () => ({ json: { status: 'alive' } })),
    bind(getReady, async () => {
      const state = readiness(site, { endpoints: router.states(), providers: health.states() });
      return { status: state.ready ? 200 : 503, json: state };
    }),
    bind(getMetrics, async () => ({
      content: { type: getMetrics.produces, bytes: Buffer.from(metrics.text()) },
    })),
  ];
  const rooms = [
    ...ledgerRoutes(site.ledger),
    ...identityRoutes(site.identity, site.world),
    ...approvalRoutes(site.approvals, (purpose) => site.policy.approval(purpose)),
    ...decisionRoutes({
      book: site.decisions,
      world: site.world,
      policy: () => site.policy,
      approved: (question) => site.approvals.holds(question),
    }),
    ...erasureRoutes(site.eraser),
    ...policyRoutes(site.governor),
    ...own,
  ];
  const described = [...rooms.map(({ route }) => route), getOpenApi];
  return [...rooms, bind(getOpenApi, async () => ({ json: openApiDocument(described) }))];
}
