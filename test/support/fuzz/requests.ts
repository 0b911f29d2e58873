import { mutateBytes, mutateJson, mutateText } from './mutate.ts';
import type { FuzzRandom } from './random.ts';

/** Stands in whatever a person could fill with something secret. */
export const CANARY = 'CNRY-5d1e8-fuzz';

export interface FuzzPlaces {
  readonly key: string;
  /** A host and port that no record allows. */
  readonly elsewhere: string;
}

/** One request as it goes over the wire, and its body where the head was left whole. */
export interface FuzzRequest {
  readonly bytes: Buffer;
  readonly body: Buffer | null;
}

const PATHS: readonly [string, ...string[]] = [
  '/v1/chat/completions',
  ...Array.from({ length: 24 }, () => '/v1/chat/completions'),
  '/v1/embeddings',
  '/v1/models',
  '/v1/models/chat',
  '/v1/receipts/r_00000000000000000000000000',
  '/openai/deployments/chat/chat/completions?api-version=2024-10-21',
  '/openai/v1/chat/completions',
  '/openai/v1/embeddings',
  '/openai/models?api-version=2024-10-21',
  '/ledger',
  '/ledger/00000000/checkpoint',
  '/ledger/00000000/tile/0/000.p/1',
  '/ledger/00000000/tile/entries/x001/000',
  '/api/v1/keys',
  '/api/v1/orgs',
  '/api/v1/approvals?all=true',
  '/api/v1/erasures',
  '/api/v1/policy/explain?model=chat&label=c2',
  '/api/v1/policy/what-if?days=1',
  '/api/v1/openapi.json',
  '/metrics',
  '/readyz',
  '/',
];

const METHODS = [
  'POST',
  'POST',
  'POST',
  'POST',
  'GET',
  'HEAD',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'X',
] as const;

const NAMES = [
  'model',
  'messages',
  'stream',
  'stream_options',
  'tools',
  'tool_choice',
  'functions',
  'response_format',
  'store',
  'metadata',
  'prompt_cache_key',
  'web_search_options',
  'prediction',
  'n',
  'stop',
  'seed',
  'input',
  'encoding_format',
  'content',
  'role',
  'type',
  'image_url',
  'file',
  '$ref',
  '__proto__',
  'constructor',
] as const;

/** A request that is nearly one: a good one with a few places changed, in body, head or path. */
export function fuzzRequest(random: FuzzRandom, places: FuzzPlaces): FuzzRequest {
  const at = random.pick(PATHS);
  const usual = /chat|embeddings|keys|orgs|erasures|what-if/.test(at) ? 'POST' : 'GET';
  const method = random.chance(0.9) ? usual : random.pick(METHODS);
  const path = random.chance(0.1) ? mutateText(at, random).replaceAll(/[\s\0]/g, '%20') : at;
  let body: Buffer = Buffer.from(method === 'GET' || method === 'HEAD' ? '' : fuzzBody(random, at, places));
  if (random.chance(0.15)) body = mutateBytes(body, random);
  const head = headOf(random, { method, path, length: body.length }, places);
  if (!random.chance(0.1)) return { bytes: Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]), body };
  return { bytes: mutateBytes(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]), random), body: null };
}

function headOf(
  random: FuzzRandom,
  { method, path, length }: { method: string; path: string; length: number },
  { key }: FuzzPlaces,
): string {
  const odd = (text: string): string =>
    random.chance(0.2) ? mutateText(text, random).replaceAll(/[\r\n]/g, ' ') : text;
  const some = [
    () => `sekisho-label: ${odd(random.pick(['c2', 'c3', 'c3,personal', 'c1']))}`,
    () => `sekisho-purpose: ${odd(CANARY)}`,
    () => `sekisho-request-id: ${odd('abc')}`,
    () => `accept: ${odd('text/plain')}`,
    () => `content-encoding: ${odd('gzip')}`,
    () => `x-forwarded-host: ${odd(CANARY)}`,
    () => `expect: 100-continue`,
    () => `cookie: a=${odd(CANARY)}`,
    () => `range: bytes=0-${odd('1')}`,
  ] as const;
  const extra = some.filter(() => random.chance(0.04)).map((line) => line());
  return [
    `${method} ${path} HTTP/1.1`,
    `host: ${random.chance(0.05) ? odd('localhost') : 'localhost'}`,
    `authorization: Bearer ${random.chance(0.03) ? CANARY : key}`,
    'content-type: application/json',
    `content-length: ${length}`,
    'connection: close',
    ...extra,
  ].join('\r\n');
}

function fuzzBody(random: FuzzRandom, path: string, { elsewhere }: FuzzPlaces): string {
  const good = path.includes('embeddings')
    ? { model: 'chat', input: [CANARY, 'b'], encoding_format: 'base64' }
    : path.startsWith('/api')
      ? { name: CANARY, roles: ['caller'], rid: 'r_00000000000000000000000000', ground: 'contract' }
      : chatBody(random, elsewhere);
  let body: unknown = good;
  for (let left = random.chance(0.4) ? 0 : random.int(4); left > 0; left--)
    body = mutateJson(body, random, NAMES);
  return JSON.stringify(body) ?? '';
}

function chatBody(random: FuzzRandom, elsewhere: string): object {
  const parameters = { type: 'object', properties: { [CANARY]: { enum: [CANARY], description: CANARY } } };
  const more: readonly [object, ...object[]] = [
    { tools: [{ type: 'function', function: { name: 'f', description: CANARY, parameters } }] },
    { response_format: { type: 'json_schema', json_schema: { name: 's', schema: parameters } } },
    { tools: [{ type: 'mcp', server_url: `http://${elsewhere}/${CANARY}` }] },
    {
      response_format: {
        type: 'json_schema',
        json_schema: { schema: { $ref: `http://${elsewhere}/${CANARY}` } },
      },
    },
    {
      messages: [
        { role: 'user', content: [{ type: 'image_url', image_url: { url: `http://${elsewhere}/` } }] },
      ],
    },
    {
      messages: [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f' } }] }],
    },
    { stream_options: { include_usage: true }, stream: true },
    { store: true, metadata: { a: CANARY } },
  ];
  return {
    model: random.pick(['chat', 'chat', 'chat', 'tiny', 'abroad', 'both', CANARY]),
    messages: [{ role: 'user', content: CANARY }],
    stream: random.chance(0.5),
    max_tokens: 2,
    ...(random.chance(0.5) ? random.pick(more) : {}),
  };
}
