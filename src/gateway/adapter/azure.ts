import type { Secret } from '../../core/secret.ts';
import type { BodyRules } from '../../policy/types.ts';
import type { ChatRequest } from '../chat/request.ts';
import type { EmbeddingsRequest } from '../embeddings/request.ts';
import type { PreparedRequest } from '../dispatch/operation.ts';
import { basePath, jsonPost } from './json-post.ts';
import { OPENAI_EMBEDDINGS, requireAllowed } from './openai.ts';
import { requireKnown } from './parameters.ts';

export interface AzureTarget {
  /** `https://{resource}.openai.azure.com/openai` with `apiVersion`, and with `/v1` at its end without. */
  readonly url: string;
  /** The version of the interface with deployments in its paths; null for the one without versions. */
  readonly apiVersion: string | null;
  readonly deployment: string;
  readonly secret: Secret | null;
  readonly rules: BodyRules;
  readonly timeoutMs: number;
}

/**
 * What Azure's two interfaces do otherwise than OpenAI's. The parameters of OpenAI's are theirs too; those of Azure's
 * own (`data_sources`) have the provider fetch what never took this road, and are refused by name.
 */
const FACTS = {
  /** Names the deployment in its path, and keeps nothing of a chat unless told to. */
  deployments: { named: 'path', store: false },
  v1: { named: 'body', store: true },
} as const;

/**
 * A chat request as Azure OpenAI takes it. The provider is told not to keep it, where it would, unless its
 * record allows that and the caller asked for it.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareAzureChat(chat: ChatRequest, target: AzureTarget): PreparedRequest {
  requireAllowed(chat.body, target.rules);
  const { store: kept, ...asked } = chat.body;
  const store = kept === true;
  const body = store || factsOf(target).store ? { ...asked, store } : asked;
  return prepared(target, '/chat/completions', { body, stream: chat.stream });
}

/**
 * An embeddings request as Azure OpenAI takes it.
 * @throws Fault `gateway.unsupported_parameter` naming the parameter.
 */
export function prepareAzureEmbeddings(asked: EmbeddingsRequest, target: AzureTarget): PreparedRequest {
  requireKnown(asked.body, OPENAI_EMBEDDINGS, target.rules);
  return prepared(target, '/embeddings', { body: asked.body, stream: false });
}

/** The header by which Azure OpenAI is told who asks. */
export function azureCredentials(secret: Secret | null): Readonly<Record<string, string>> {
  return secret === null ? {} : { 'api-key': secret.reveal() };
}

function factsOf({ apiVersion }: AzureTarget): (typeof FACTS)[keyof typeof FACTS] {
  return apiVersion === null ? FACTS.v1 : FACTS.deployments;
}

function prepared(
  target: AzureTarget,
  path: string,
  { body, stream }: { body: object; stream: boolean },
): PreparedRequest {
  const { deployment, secret, timeoutMs } = target;
  const credentials = azureCredentials(secret);
  const named = { ...body, model: deployment };
  return jsonPost({ path: pathOf(target, path), credentials, body: named, stream, timeoutMs });
}

function pathOf(target: AzureTarget, path: string): string {
  const base = basePath(target.url);
  if (factsOf(target).named === 'body') return `${base}${path}`;
  const query = `api-version=${encodeURIComponent(target.apiVersion ?? '')}`;
  return `${base}/deployments/${encodeURIComponent(target.deployment)}${path}?${query}`;
}
