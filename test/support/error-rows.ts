import assert from 'node:assert/strict';
import type { ClientCase, ClientError } from './clients/client.ts';
import type { Behaviour } from './provider-behaviour.ts';

/** One row of the table of errors, as a client of OpenAI's meets it. */
export interface Row {
  readonly name: string;
  /** How the provider answers each request of this row. */
  readonly provider?: Behaviour;
  readonly asked?: Partial<ClientCase>;
  /** The only role of the key; that of the administrator unless told. */
  readonly role?: 'operator';
  /** Only clients that take the members of a request as they are can ask like this. */
  readonly wire?: true;
  readonly status: number;
  /** The class that the openai clients raise. */
  readonly type: string;
  readonly code: string;
  /** The code on the paths of deployments, where it is another. */
  readonly azureCode?: string;
  readonly param?: string;
  /** What the ledger gets; null for rows without a leaf. */
  readonly leaf: Leaf | null;
  /** Requests that reach the provider when the client retries as it likes. */
  readonly dispatches?: number;
  /** Of the headers that steer retries, those that the reply carries. */
  readonly retry?: Readonly<Record<string, string>>;
  readonly also?: (error: ClientError) => void;
}

export interface Leaf {
  readonly effect: 'allow' | 'deny';
  readonly status?: string;
  readonly http?: number | null;
  readonly attempts?: number;
}

const DENIED: Leaf = { effect: 'deny' };
const MEBIBYTE = 1024 * 1024;

/**
 * The rows that need no failing disk. Callers' names of models: `chat` answers, `elsewhere` is abroad, `down` has two
 * endpoints that are closed, `moved` is at another address than listed, `local` has no file.
 */
export const ROWS: readonly Row[] = [
  {
    name: 'an unknown key',
    asked: { key: 'sk-wrong' },
    status: 401,
    type: 'AuthenticationError',
    code: 'invalid_api_key',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a key without the role of a caller',
    role: 'operator',
    status: 403,
    type: 'PermissionDeniedError',
    code: 'forbidden',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a path that is not there',
    asked: { below: '/nothing' },
    status: 404,
    type: 'NotFoundError',
    code: 'not_found',
    leaf: null,
  },
  {
    name: 'an unknown model',
    asked: { arguments: { model: 'no-such', messages: [{ role: 'user', content: 'hello' }] } },
    status: 404,
    type: 'NotFoundError',
    code: 'model_not_found',
    azureCode: 'DeploymentNotFound',
    param: 'model',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'an unknown model, looked up',
    asked: { do: 'model', arguments: { model: 'no-such' } },
    wire: true,
    status: 404,
    type: 'NotFoundError',
    code: 'model_not_found',
    param: 'model',
    leaf: null,
  },
  {
    name: 'a malformed request',
    asked: { arguments: { model: 'chat', messages: [{ role: 'nobody', content: 'hello' }] } },
    wire: true,
    status: 400,
    type: 'BadRequestError',
    code: 'invalid_request',
    param: 'messages[0].role',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a request nested deeper than 64',
    asked: model('chat', { tools: [{ type: 'function', function: { name: 'f', parameters: nested(64) } }] }),
    status: 400,
    type: 'BadRequestError',
    code: 'invalid_request',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'an unsupported parameter',
    asked: model('chat', { web_search_options: {} }),
    wire: true,
    status: 400,
    type: 'BadRequestError',
    code: 'unsupported_parameter',
    param: 'web_search_options',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a request that the provider should keep',
    asked: model('chat', { store: true }),
    status: 400,
    type: 'BadRequestError',
    code: 'unsupported_parameter',
    param: 'store',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a name that no model can have',
    asked: model('m'.repeat(300)),
    status: 400,
    type: 'BadRequestError',
    code: 'invalid_request',
    param: 'model',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a body of 21 MB',
    asked: { fill: 21 * MEBIBYTE },
    status: 413,
    type: 'APIError',
    code: 'request_too_large',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a content-encoding',
    asked: { headers: { 'content-encoding': 'gzip' } },
    status: 415,
    type: 'APIError',
    code: 'unsupported_encoding',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'a lower label',
    asked: { headers: { 'sekisho-label': 'c1' } },
    status: 400,
    type: 'BadRequestError',
    code: 'label_downgrade',
    param: 'Sekisho-Label',
    leaf: DENIED,
    dispatches: 0,
  },
  {
    name: 'a label that is none',
    asked: { headers: { 'sekisho-label': 'secret' } },
    status: 400,
    type: 'BadRequestError',
    code: 'invalid_request',
    leaf: null,
    dispatches: 0,
  },
  {
    name: 'an unknown purpose',
    asked: { headers: { 'sekisho-purpose': 'leisure' } },
    status: 400,
    type: 'BadRequestError',
    code: 'unknown_purpose',
    param: 'Sekisho-Purpose',
    leaf: DENIED,
    dispatches: 0,
  },
  {
    name: 'a purpose that nobody approved',
    asked: { headers: { 'sekisho-purpose': 'care' } },
    status: 403,
    type: 'PermissionDeniedError',
    code: 'approval_required',
    param: 'Sekisho-Purpose',
    leaf: DENIED,
    dispatches: 0,
    also: ({ body }) => assert.equal(inner(body)['purpose'], 'care'),
  },
  {
    name: 'a residency that policy denies',
    asked: model('elsewhere'),
    status: 403,
    type: 'PermissionDeniedError',
    code: 'residency_policy_violation',
    leaf: DENIED,
    dispatches: 0,
    also: reasonsInBothLanguages,
  },
  {
    name: 'a local model that is not there',
    asked: model('local'),
    status: 503,
    type: 'InternalServerError',
    code: 'model_unavailable',
    leaf: { effect: 'allow', status: 'not-sent', http: null, attempts: 1 },
    retry: { 'retry-after': '5' },
  },
  {
    name: 'endpoints of which none answers',
    asked: model('down'),
    status: 503,
    type: 'InternalServerError',
    code: 'no_eligible_endpoint',
    leaf: { effect: 'allow', status: 'not-sent', http: null, attempts: 2 },
    retry: { 'retry-after': '5' },
    also: ({ body }) => assert.deepEqual(inner(body)['tried'], ['closed/m', 'shut/m']),
  },
  {
    name: 'a provider that refuses with 422',
    provider: { kind: 'status', status: 422, body: '{"error":{"message":"CNRY","code":"theirs"}}' },
    status: 422,
    type: 'UnprocessableEntityError',
    code: 'provider_error',
    leaf: { effect: 'allow', status: 'provider-error', http: 422, attempts: 1 },
    dispatches: 1,
  },
  {
    name: 'a provider that limits, with its own hint',
    provider: { kind: 'status', status: 429, headers: { 'retry-after-ms': '20' } },
    status: 429,
    type: 'RateLimitError',
    code: 'provider_error',
    leaf: { effect: 'allow', status: 'provider-error', http: 429, attempts: 1 },
    dispatches: 3,
    retry: { 'retry-after-ms': '20' },
  },
  {
    name: 'a provider that fails and asks not to be asked again',
    provider: { kind: 'status', status: 500, headers: { 'x-should-retry': 'false' } },
    status: 502,
    type: 'InternalServerError',
    code: 'provider_error',
    leaf: { effect: 'allow', status: 'provider-error', http: 500, attempts: 1 },
    dispatches: 1,
    retry: { 'x-should-retry': 'false' },
  },
  {
    name: 'a provider that answers garbage',
    provider: { kind: 'garbage' },
    status: 502,
    type: 'InternalServerError',
    code: 'provider_error',
    leaf: { effect: 'allow', status: 'provider-error', http: 200, attempts: 1 },
    dispatches: 3,
  },
  {
    name: 'a redirect',
    provider: { kind: 'status', status: 307, headers: { location: 'http://127.0.0.2:9/v1' } },
    status: 502,
    type: 'InternalServerError',
    code: 'egress_denied',
    leaf: { effect: 'allow', status: 'refused', attempts: 1 },
    dispatches: 1,
    retry: { 'x-should-retry': 'false' },
    also: ({ body }) => assert.equal(inner(body)['guard'], 'redirect'),
  },
  {
    name: 'another address than the record lists',
    asked: model('moved'),
    status: 502,
    type: 'InternalServerError',
    code: 'egress_denied',
    leaf: { effect: 'allow', status: 'refused', http: null, attempts: 1 },
    dispatches: 0,
    retry: { 'x-should-retry': 'false' },
    also: ({ body }) => assert.equal(inner(body)['guard'], 'address'),
  },
];

export function reasonsInBothLanguages(error: ClientError): void {
  const { decision_id: id, label, reasons } = inner(error.body);
  assert.equal(id, error.requestId);
  assert.equal(label, 'c2');
  assert.ok(Array.isArray(reasons) && reasons.length > 0);
  for (const reason of reasons as Record<string, string>[]) {
    assert.equal(reason['endpoint'], 'abroad/m');
    assert.match(reason['ja'] ?? '', /[ぁ-んァ-ヶ一-龠]/);
    assert.match(reason['en'] ?? '', /[a-z]/);
  }
}

function inner(body: unknown): Record<string, unknown> {
  return Object(Object(body)['innererror']);
}

function model(name: string, more: Readonly<Record<string, unknown>> = {}): Partial<ClientCase> {
  return { arguments: { model: name, messages: [{ role: 'user', content: 'hello' }], ...more } };
}

function nested(depth: number): unknown {
  return depth === 0 ? {} : { not: nested(depth - 1) };
}
