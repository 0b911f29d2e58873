import { isUtf8 } from 'node:buffer';
import { isRecord } from '../json-body.ts';
import { garbage, refusedByProvider, transportFailure } from './outcome.ts';
import type { Relay, RelayContext, Relayed, Traffic } from './relay.ts';

/** A plain answer is held whole until its outcome is durable; what exceeds this is no chat completion. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Gathers a plain JSON answer and checks that it is a chat completion. */
export function plainRelay(context: RelayContext): Relay {
  const { promise, resolve } = Promise.withResolvers<Relayed>();
  const traffic: Traffic = { received: 0 };
  const chunks: Buffer[] = [];
  let http: number | null = null;
  const fail = (failure: ReturnType<typeof garbage>): void => {
    context.abort();
    resolve({ kind: 'failed', http, failure });
  };
  return {
    traffic,
    settled: promise,
    begun: () => false,
    clientGone() {
      context.abort();
      resolve({ kind: 'client-gone', http });
    },
    handler: {
      onHead(status, headers) {
        http = status;
        if (status !== 200) fail(refusedByProvider(context.endpoint, status, headers));
        else if (!isJson(headers['content-type'])) fail(garbage(context.endpoint));
      },
      onData(chunk) {
        traffic.received += chunk.length;
        chunks.push(chunk);
        if (traffic.received > MAX_ANSWER_BYTES) fail(garbage(context.endpoint));
        return true;
      },
      onEnd() {
        const body = Buffer.concat(chunks);
        if (http !== null && isCompletion(body)) resolve({ kind: 'answered', http, body });
        else fail(garbage(context.endpoint));
      },
      onError(error) {
        resolve({ kind: 'failed', http, failure: transportFailure(context.endpoint, error, http) });
      },
    },
  };
}

function isJson(type: string | undefined): boolean {
  return type !== undefined && /^application\/json\s*(;|$)/i.test(type);
}

function isCompletion(body: Buffer): boolean {
  // RFC 8259 section 8.1
  if (!isUtf8(body)) return false;
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isRecord(value) && value['object'] === 'chat.completion' && Array.isArray(value['choices']);
  } catch {
    return false;
  }
}
