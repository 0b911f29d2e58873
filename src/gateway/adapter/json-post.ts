import type { PreparedRequest } from '../dispatch/operation.ts';

export interface JsonPost {
  readonly path: string;
  /** The header that says who asks. */
  readonly credentials: Readonly<Record<string, string>>;
  readonly body: object;
  readonly stream: boolean;
  readonly timeoutMs: number;
}

/** A request with a JSON body, for JSON or for a stream of events. */
export function jsonPost({ path, credentials, body, stream, timeoutMs }: JsonPost): PreparedRequest {
  return {
    method: 'POST',
    path,
    headers: {
      'content-type': 'application/json',
      accept: stream ? 'text/event-stream' : 'application/json',
      ...credentials,
    },
    body: Buffer.from(JSON.stringify(body)),
    timeoutMs,
  };
}

/** The path of a base URL, which what is asked for is put behind. */
export function basePath(url: string): string {
  return new URL(url).pathname.replace(/\/$/, '');
}
