import { HIGHEST_FLOOR } from './labels.ts';
import { staysOnMachine } from './network.ts';
import { implicitRecord, isOwnKind, recordDigest } from './residency.ts';
import type {
  BodyRules,
  Bundle,
  Endpoint,
  Provider,
  ProviderModel,
  RoutedModel,
  SiteFacts,
} from './types.ts';

/** The rules of a provider whose record names none. */
export const NOTHING_ALLOWED: BodyRules = Object.freeze({
  store: false,
  caches: false,
  metadata: false,
  files: false,
  tools: [],
  urls: [],
});

/** Where the models of a bundle can be served. */
export interface Routing {
  readonly models: readonly RoutedModel[];
  readonly endpoints: readonly Endpoint[];
  readonly model: ReadonlyMap<string, RoutedModel>;
  readonly endpoint: ReadonlyMap<string, Endpoint>;
}

/** The endpoints and callers' names that a checked bundle declares. */
export function routedModels(bundle: Bundle): Routing {
  const endpoints = bundle.providers.flatMap((provider) =>
    Object.entries(provider.models).map(([name, model]) =>
      endpointOf(bundle.site, provider, { name, model }),
    ),
  );
  const endpoint = new Map(endpoints.map((each) => [each.id, each]));
  const models = Object.keys(bundle.models)
    .sort()
    .flatMap((name) => routedModel(bundle, name, endpoint));
  return { models, endpoints, endpoint, model: new Map(models.map((each) => [each.name, each])) };
}

function endpointOf(
  site: SiteFacts,
  provider: Provider,
  { name, model }: { name: string; model: ProviderModel },
): Endpoint {
  const id = `${provider.id}/${name}`;
  const own = isOwnKind(provider.kind);
  const record = own ? implicitRecord(site) : provider.residency;
  const { url, network } = provider;
  return Object.freeze({
    id,
    provider: provider.id,
    kind: provider.kind,
    upstream: model.upstream,
    accepts: model.accepts,
    secret: provider.secret,
    apiVersion: provider.apiVersion ?? null,
    body: provider.body ?? NOTHING_ALLOWED,
    price: model.price,
    network: url === null || network === null ? null : Object.freeze({ ...network, endpoint: id, url }),
    ownMachine: own || (network !== null && staysOnMachine(network)),
    record,
    recordDigest: recordDigest(record),
  });
}

function routedModel(bundle: Bundle, name: string, known: ReadonlyMap<string, Endpoint>): RoutedModel[] {
  const route = bundle.models[name];
  if (route === undefined) return [];
  const from = route.from.flatMap(({ endpoint, weight }) => {
    const found = known.get(endpoint);
    return found === undefined ? [] : [Object.freeze({ endpoint: found, weight })];
  });
  const floor = route.label ?? bundle.site.label ?? HIGHEST_FLOOR;
  return [Object.freeze({ name, strategy: route.strategy, floor, from: Object.freeze(from) })];
}
