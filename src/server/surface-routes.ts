import { Fault } from '../core/fault.ts';
import { chatCompletions } from '../gateway/chat/completions.ts';
import { embeddings } from '../gateway/embeddings/embeddings.ts';
import type { Exchange } from '../gateway/exchange.ts';
import { deploymentNotFound, modelNotFound, type Gateway } from '../gateway/govern.ts';
import { listModels, showModel } from '../gateway/models.ts';
import type { Surface } from '../gateway/dispatch/operation.ts';

export interface SurfaceRoute {
  readonly name: string;
  readonly methods: readonly string[];
  readonly handle: (gateway: Gateway, exchange: Exchange) => Promise<void> | void;
}

type Operate = typeof chatCompletions;
type Handle = SurfaceRoute['handle'];

const POST = ['POST'];
const GET = ['GET', 'HEAD'];
const OPENAI = '/v1';
const AZURE = '/openai';
const AZURE_V1 = '/openai/v1';
const DEPLOYMENTS = '/openai/deployments/';

/** What a family of paths has below its beginning. */
const OPERATIONS: Readonly<Record<string, { readonly name: string; readonly operate: Operate }>> = {
  '/chat/completions': { name: 'chat', operate: chatCompletions },
  '/embeddings': { name: 'embeddings', operate: embeddings },
};

const OF_OPENAI = operationsOf('openai');
const OF_AZURE = operationsOf('azure');

/** The route of a path of the surfaces (docs/interface.md, "HTTP"); null for every other path. */
export function routeOf(path: string, query: string): SurfaceRoute | null {
  if (path.startsWith(`${OPENAI}/`)) return below(path.slice(OPENAI.length), OF_OPENAI);
  if (!path.startsWith(`${AZURE}/`)) return null;
  if (path.startsWith(`${AZURE_V1}/`)) {
    return behind(below(path.slice(AZURE_V1.length), OF_AZURE), () => checkVersion(query, V1));
  }
  const route = path.startsWith(DEPLOYMENTS)
    ? deployed(path.slice(DEPLOYMENTS.length))
    : modelsRoute(path.slice(AZURE.length));
  return behind(route, () => checkVersion(query, CLASSIC));
}

function operationsOf(surface: Surface): ReadonlyMap<string, SurfaceRoute> {
  const routes = Object.entries(OPERATIONS).map(([path, { name, operate }]) => {
    const handle: Handle = async (gateway, exchange) => operate(gateway, exchange, surface);
    return [path, { name, methods: POST, handle }] as const;
  });
  return new Map(routes);
}

function below(rest: string, operations: ReadonlyMap<string, SurfaceRoute>): SurfaceRoute | null {
  return operations.get(rest) ?? modelsRoute(rest);
}

// The SDK writes a deployment's name as one part of the path, with everything but letters, digits and -_.~ escaped.
function deployed(rest: string): SurfaceRoute | null {
  const slash = rest.indexOf('/');
  const path = slash < 1 ? '' : rest.slice(slash);
  const operation = Object.hasOwn(OPERATIONS, path) ? OPERATIONS[path] : undefined;
  if (operation === undefined) return null;
  const { name, operate } = operation;
  const deployment = decoded(rest.slice(0, slash));
  return {
    name,
    methods: POST,
    async handle(gateway, exchange) {
      if (deployment === null) throw deploymentNotFound(rest.slice(0, slash));
      await operate(gateway, exchange, 'azure', deployment);
    },
  };
}

const MODELS: SurfaceRoute = { name: 'models', methods: GET, handle: listModels };

function modelsRoute(rest: string): SurfaceRoute | null {
  if (rest === '/models') return MODELS;
  if (!rest.startsWith('/models/')) return null;
  const id = decoded(rest.slice('/models/'.length));
  return {
    name: 'model',
    methods: GET,
    handle(gateway, exchange) {
      if (id === null || !showModel(gateway, exchange, id)) throw modelNotFound(id ?? '');
    },
  };
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** Which `api-version` a family takes, and how Azure refuses another. */
interface Versions {
  readonly form: RegExp;
  readonly optional: boolean;
  readonly refuse: () => Fault;
}

const CLASSIC: Versions = {
  form: /^\d{4}-\d{2}-\d{2}(-preview)?$/,
  optional: false,
  refuse: () =>
    new Fault(
      'missing',
      'gateway.not_found',
      'resource not found: the query needs an api-version, for example ?api-version=2024-10-21',
      { details: { param: 'api-version' } },
    ),
};

const V1: Versions = {
  form: /^(v1|preview|latest)$/,
  optional: true,
  refuse: () =>
    new Fault(
      'invalid',
      'gateway.invalid_request',
      'api-version: not supported here; leave it out, or send v1 or preview',
      { details: { param: 'api-version' } },
    ),
};

function checkVersion(query: string, { form, optional, refuse }: Versions): void {
  const versions = new URLSearchParams(query).getAll('api-version');
  const [version] = versions;
  if (version === undefined ? optional : versions.length === 1 && form.test(version)) return;
  throw refuse();
}

function behind(route: SurfaceRoute | null, check: () => void): SurfaceRoute | null {
  if (route === null) return null;
  return {
    ...route,
    handle(gateway, exchange) {
      check();
      return route.handle(gateway, exchange);
    },
  };
}
