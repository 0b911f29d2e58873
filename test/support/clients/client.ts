/** One use of a client that is unchanged but for URL and key. */
export interface ClientCase {
  readonly key: string;
  /** Of the site, without a path. */
  readonly url: string;
  /** A path below the surface's own under which there is nothing; empty unless the case is about that. */
  readonly below: string;
  /** `loop` hands the result of each called tool back and ends with the answer to it. */
  readonly do: 'chat' | 'loop' | 'embeddings' | 'models' | 'model';
  /** As the request's body has them; a client with an interface of its own says the same in its words. */
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Null leaves the client its own number. */
  readonly retries: number | null;
  /** The length of the only message, in place of those in `arguments`; 0 leaves them. */
  readonly fill: number;
}

/** An error as the client showed it. */
export interface ClientError {
  readonly type: string;
  readonly status: number | null;
  readonly code: string | null;
  readonly param: string | null;
  readonly requestId: string | null;
  /** Of the headers that steer retries, those that the reply carries. */
  readonly retry: Readonly<Record<string, string>>;
  /** The member `error` of the reply. */
  readonly body: unknown;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON */
  readonly arguments: string;
}

/** An answer as the client's user sees it; that of a stream is put together from its pieces. */
export interface Said {
  readonly text: string;
  /** `stop`, `length`, `tool_calls` or `content_filter`. */
  readonly finish: string;
  readonly calls: readonly ToolCall[];
  /** Tokens of the prompt, of the answer and of both; null when the client was told none. */
  readonly usage: Usage | null;
  /** Pieces of text that came one by one; 0 for an answer that came whole. */
  readonly pieces: number;
}

export interface Usage {
  readonly input: number;
  readonly output: number;
  readonly total: number;
}

export interface ClientResult {
  /** The receipt's id; null where the reply had none. */
  readonly receipt?: string | null;
  readonly said?: Said;
  /** Ids of models. */
  readonly models?: readonly string[];
  readonly vectors?: readonly (readonly number[])[];
  readonly error?: ClientError;
}

/** A client that organisations use, driven as its documentation says. */
export interface Client extends Disposable {
  readonly name: string;
  readonly surface: 'openai' | 'azure';
  /** Takes the members of a request as they are, so that a test can also send what its types would not allow. */
  readonly wire: boolean;
  ask(asked: ClientCase): Promise<ClientResult>;
}

/** The URL that a client is given, after the documentation of each surface. */
export function baseOf({ url, below }: ClientCase, surface: Client['surface']): string {
  if (surface === 'openai') return `${url}/v1${below}`;
  return below === '' ? url : `${url}/openai${below}`;
}

/** What a tool of `loop` gives back for a call of it. */
export function toolResult(call: { readonly name: string; readonly arguments: string }): string {
  return `${call.name} was called with ${call.arguments}`;
}

/** Of a reply's headers, those by which a client steers its retries. */
export function steering(headers: Iterable<readonly [string, string]>): Record<string, string> {
  const names = ['retry-after', 'retry-after-ms', 'x-should-retry'];
  return Object.fromEntries([...headers].filter(([name]) => names.includes(name)));
}
