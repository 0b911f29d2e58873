import { Fault, toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import { errorBody, JSON_TYPE, surfaceError } from '../gateway/errors.ts';
import type { Exchange } from '../gateway/exchange.ts';
import type { Gateway } from '../gateway/govern.ts';
import type { Caller } from '../identity/types.ts';
import type { Incoming } from './listen.ts';
import type { Metrics } from './metrics.ts';
import { routeOf, type SurfaceRoute } from './surface-routes.ts';

/** docs/interface.md: the largest body a surface reads. */
export const MAX_BODY_BYTES = 20 * 1024 * 1024;

export interface SurfaceOptions {
  readonly gateway: Gateway;
  readonly authenticate: (headers: Incoming['headers']) => Caller | null;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Resolves once the running bundle decides again after a change. */
  readonly settled: () => Promise<void>;
}

export interface Surfaces {
  /** True for a request of the surfaces, which is then served. */
  serve(incoming: Incoming): boolean;
  /** Resolves once every exchange that runs now has ended, with its outcome in the log. */
  settled(): Promise<void>;
}

/** The request paths that skip the router of the other routes: each request here is hot. */
export function surfaces(options: SurfaceOptions): Surfaces {
  const running = new Set<Promise<void>>();
  return {
    serve(incoming) {
      const route = routeOf(incoming.path, incoming.query);
      if (route === null) return false;
      const exchange = serve(options, route, incoming);
      running.add(exchange);
      void exchange.finally(() => running.delete(exchange));
      return true;
    },
    async settled() {
      await Promise.allSettled(running);
    },
  };
}

async function serve(options: SurfaceOptions, route: SurfaceRoute, incoming: Incoming): Promise<void> {
  const { reply } = incoming;
  try {
    const exchange = await admit(options, route, incoming);
    options.metrics.count('sekisho_requests_total', { route: route.name });
    await handle(options, route, exchange);
  } catch (thrown) {
    const fault = toFault(thrown);
    if (fault.code === 'server.client_left') return;
    if (fault.kind === 'internal') options.log.error('server.surface_failed', { code: fault.code });
    if (reply.begun()) {
      // What began cannot become an error any more, and must not end as if it were whole.
      reply.cut();
      return;
    }
    const error = surfaceError(fault);
    options.metrics.count('sekisho_refusals_total', { code: error.code });
    const body = errorBody(error);
    const headers = { ...error.headers, ...allowHeader(fault) };
    reply.head(error.status, {
      ...headers,
      'content-type': JSON_TYPE,
      'content-length': String(body.length),
    });
    reply.end(body);
  }
}

// A bundle that stopped deciding between a request's decision and its leaf has decided nothing: it is decided again.
async function handle(options: SurfaceOptions, route: SurfaceRoute, exchange: Exchange): Promise<void> {
  for (;;) {
    try {
      await route.handle(options.gateway, exchange);
      return;
    } catch (thrown) {
      if (toFault(thrown).code !== 'crossing.bundle_changed') throw thrown;
      await options.settled();
    }
  }
}

/** What every request must pass before a surface sees it. */
async function admit(options: SurfaceOptions, route: SurfaceRoute, incoming: Incoming): Promise<Exchange> {
  if (!route.methods.includes(incoming.method)) throw methodNotAllowed(route.methods);
  const caller = options.authenticate(incoming.headers);
  if (caller === null) throw invalidKey();
  if (!caller.roles.includes('caller')) throw notACaller();
  const body = await incoming.readBody(MAX_BODY_BYTES);
  return { body, caller, reply: incoming.reply, header: (name) => incoming.header(name) };
}

function allowHeader(fault: Fault): Record<string, string> {
  const { allow } = fault.details;
  return typeof allow === 'string' ? { allow } : {};
}

export function methodNotAllowed(methods: readonly string[]): Fault {
  const allow = methods.join(', ');
  return new Fault('invalid', 'gateway.method_not_allowed', `this path takes ${allow}`, {
    details: { allow },
  });
}

export function invalidKey(): Fault {
  const message = 'no valid key: send "Authorization: Bearer <key>" or "api-key: <key>"';
  return new Fault('unauthenticated', 'identity.invalid_api_key', message);
}

function notACaller(): Fault {
  return new Fault('denied', 'identity.role_needed', 'this key does not hold the role caller');
}
