import { isRecord, parseJsonObject } from '../json-body.ts';
import { blockedByFilter, refusedByProvider, type Failure } from './outcome.ts';

/** The longest refusal that is read. */
const LONGEST = 64 << 10;
const MAX_FILTERS = 32;

/** What a provider's filters found, by the name of each. */
export type FilterResults = Readonly<Record<string, Readonly<Record<string, string | boolean>>>>;

/**
 * An answer other than 200. Of its body only the verdict of content filters is read, in Azure's form; what else stands
 * there may hold parts of the prompt.
 */
export class Refusal {
  /** Nothing more of it is of use. */
  over: boolean;
  readonly #endpoint: string;
  readonly #status: number;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(endpoint: string, status: number, headers: Readonly<Record<string, string>>) {
    this.#endpoint = endpoint;
    this.#status = status;
    this.#headers = headers;
    this.over = status !== 400 || !/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '');
  }

  take(chunk: Buffer): void {
    this.#length += chunk.length;
    this.over ||= this.#length > LONGEST;
    if (!this.over) this.#chunks.push(chunk);
  }

  failure(): Failure {
    const results = this.over ? null : filterResults(Buffer.concat(this.#chunks));
    return results === null
      ? refusedByProvider(this.#endpoint, this.#status, this.#headers)
      : blockedByFilter(this.#endpoint, this.#headers, results);
  }
}

// Azure's description says `inner_error.content_filter_results`, its servers `innererror.content_filter_result`.
function filterResults(body: Buffer): FilterResults | null {
  const error = memberOf(parsed(body), 'error');
  if (error['code'] !== 'content_filter') return null;
  const inner = isRecord(error['innererror']) ? error['innererror'] : memberOf(error, 'inner_error');
  const results = isRecord(inner['content_filter_result'])
    ? inner['content_filter_result']
    : memberOf(inner, 'content_filter_results');
  const known = Object.entries(results).filter(([name]) => /^[a-z_]{1,64}$/.test(name));
  return Object.fromEntries(known.slice(0, MAX_FILTERS).map(([name, result]) => [name, resultOf(result)]));
}

/** The members that say something about the prompt without repeating it. */
function resultOf(result: unknown): Record<string, string | boolean> {
  if (!isRecord(result)) return {};
  const { filtered, detected, severity } = result;
  return {
    ...(typeof filtered === 'boolean' ? { filtered } : {}),
    ...(typeof detected === 'boolean' ? { detected } : {}),
    ...(typeof severity === 'string' && SEVERITIES.has(severity) ? { severity } : {}),
  };
}

const SEVERITIES = new Set(['safe', 'low', 'medium', 'high']);

function memberOf(value: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  const member = value[name];
  return isRecord(member) ? member : {};
}

function parsed(body: Buffer): Record<string, unknown> {
  try {
    return parseJsonObject(body);
  } catch {
    return {};
  }
}
