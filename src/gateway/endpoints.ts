import { Fault } from '../core/fault.ts';
import type { Secret } from '../core/secret.ts';
import type { Transport } from '../crossing/road.ts';
import { spendPermit } from '../egress/permit.ts';
import type { Egress } from '../egress/types.ts';
import type * as policy from '../policy/types.ts';
import { azureCredentials, prepareAzureChat, prepareAzureEmbeddings } from './adapter/azure.ts';
import { prepareLlamaChat, prepareLlamaEmbeddings } from './adapter/llama.ts';
import { openAiCredentials, prepareOpenAiChat, prepareOpenAiEmbeddings } from './adapter/openai.ts';
import type { Endpoint } from './endpoint.ts';
import type { LlamaTransport } from './llama/transport.ts';
import type { LocalCalls } from './local-calls.ts';

export interface EndpointSources {
  readonly egress: Egress;
  readonly secrets: ReadonlyMap<string, Secret>;
  /** The engine that runs the model of this name on this machine. */
  readonly local: (upstream: string) => LlamaTransport;
  /** Knows what runs there, so that it can be ended with its bundle. */
  readonly localCalls: LocalCalls;
  /** Milliseconds until the first byte of an answer, and between two pieces of it. */
  readonly timeoutMs: number;
}

type Credentials = (secret: Secret | null) => Readonly<Record<string, string>>;

/** The kinds of provider that an adapter speaks to, and how each is told who asks. */
const KINDS: ReadonlyMap<string, Credentials> = new Map([
  ['llama', () => ({})],
  ['openai', openAiCredentials],
  ['azure', azureCredentials],
]);

/** The headers that tell a provider of this kind who asks. */
export function credentialsOf(kind: string, secret: Secret | null): Readonly<Record<string, string>> {
  return KINDS.get(kind)?.(secret) ?? {};
}

/**
 * Makes every endpoint of a bundle ready to be asked.
 * @throws Fault `gateway.unknown_kind`, `gateway.secret_missing`, `gateway.unused_version` (details.endpoint), which keep
 * the bundle from running.
 */
export function bundleEndpoints(
  engine: policy.PolicyEngine,
  sources: EndpointSources,
): ReadonlyMap<string, Endpoint> {
  const endpoints = engine.endpoints.map((facts) => endpointOf(facts, engine.hash, sources));
  return new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
}

/**
 * Refuses what `bundleEndpoints` would refuse, with nothing open yet.
 * @throws Fault as `bundleEndpoints`.
 */
export function requireAdapters(
  { endpoints }: { readonly endpoints: readonly policy.Endpoint[] },
  secrets: ReadonlyMap<string, Secret>,
): void {
  for (const facts of endpoints) {
    if (!KINDS.has(facts.kind)) throw unknownKind(facts);
    if (facts.kind !== 'azure' && facts.apiVersion !== null) throw unusedVersion(facts);
    if (facts.kind !== 'llama') secretOf(facts, secrets);
  }
}

function endpointOf(facts: policy.Endpoint, bundle: string, sources: EndpointSources): Endpoint {
  const { timeoutMs } = sources;
  switch (facts.kind) {
    case 'llama':
      return {
        id: facts.id,
        local: true,
        transport: localTransport(sources, facts, bundle),
        prepareChat: (chat) => prepareLlamaChat(chat, timeoutMs),
        prepareEmbeddings: (asked) => prepareLlamaEmbeddings(asked, timeoutMs),
      };
    case 'openai': {
      const target = { ...remoteOf(facts, sources), model: facts.upstream };
      return {
        ...placed(facts, bundle, sources),
        prepareChat: (chat) => prepareOpenAiChat(chat, target),
        prepareEmbeddings: (asked) => prepareOpenAiEmbeddings(asked, target),
      };
    }
    case 'azure': {
      const { upstream: deployment, apiVersion } = facts;
      const target = { ...remoteOf(facts, sources), deployment, apiVersion };
      return {
        ...placed(facts, bundle, sources),
        prepareChat: (chat) => prepareAzureChat(chat, target),
        prepareEmbeddings: (asked) => prepareAzureEmbeddings(asked, target),
      };
    }
    default:
      throw unknownKind(facts);
  }
}

function remoteOf(facts: policy.Endpoint, { secrets, timeoutMs }: EndpointSources) {
  return {
    url: networkOf(facts).url,
    secret: secretOf(facts, secrets),
    rules: facts.body,
    timeoutMs,
  };
}

// The channel is looked up when it is used: a record that egress refuses denies requests, not the start.
function placed(
  facts: policy.Endpoint,
  bundle: string,
  { egress }: EndpointSources,
): Pick<Endpoint, 'id' | 'local' | 'transport'> {
  const network = networkOf(facts);
  const transport: Transport = {
    dispatch: (permit, request, handler) =>
      egress.endpoint(network, bundle).dispatch(permit, request, handler),
  };
  return { id: facts.id, local: false, transport };
}

function networkOf({ id, network }: policy.Endpoint): NonNullable<policy.Endpoint['network']> {
  if (network === null) throw new Fault('invalid', 'gateway.no_network', `${id} has no url`);
  return network;
}

// A version that is written and not sent would be believed.
function unusedVersion({ id, kind }: policy.Endpoint): Fault {
  const message = `${id}: a provider of kind ${kind} has no apiVersion; that of kind azure has`;
  return new Fault('invalid', 'gateway.unused_version', message, { details: { endpoint: id } });
}

function unknownKind({ id, kind }: policy.Endpoint): Fault {
  const message = `${id}: no adapter speaks ${kind}`;
  return new Fault('invalid', 'gateway.unknown_kind', message, { details: { endpoint: id } });
}

// The engine needs no socket, and still nothing reaches it that was not decided and recorded.
function localTransport(
  { local, localCalls }: EndpointSources,
  { id, upstream }: policy.Endpoint,
  bundle: string,
): Transport {
  const transport = local(upstream);
  return {
    dispatch(permit, request, handler) {
      if (spendPermit(permit, id, bundle))
        return localCalls.start(bundle, handler, (kept) => transport.dispatch(request, kept));
      throw new Fault('denied', 'egress.denied', `no permit for ${id}`, {
        details: { guard: 'permit' },
      });
    },
  };
}

function secretOf(facts: policy.Endpoint, secrets: ReadonlyMap<string, Secret>): Secret | null {
  if (facts.secret === null) return null;
  const secret = secrets.get(facts.secret);
  if (secret !== undefined) return secret;
  const message = `${facts.id} needs the secret "${facts.secret}"; name its file under secrets in sekisho.yaml`;
  throw new Fault('invalid', 'gateway.secret_missing', message, { details: { endpoint: facts.id } });
}
