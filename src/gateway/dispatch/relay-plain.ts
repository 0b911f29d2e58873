import { isUtf8 } from 'node:buffer';
import { garbage, transportFailure } from './outcome.ts';
import type { Operation } from './operation.ts';
import { Refusal } from './refusal.ts';
import type { Relay, RelayContext, Relayed, Traffic } from './relay.ts';

type Expected = Pick<Operation, 'read' | 'longest'>;

/** Gathers a plain JSON answer, which is held whole until its outcome is durable, and reads it as the one asked for. */
export function plainRelay(context: RelayContext, { read, longest }: Expected): Relay {
  const { promise, resolve } = Promise.withResolvers<Relayed>();
  const traffic: Traffic = { received: 0 };
  const chunks: Buffer[] = [];
  let http: number | null = null;
  let refusal: Refusal | null = null;
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
        if (status !== 200) {
          refusal = new Refusal(context.endpoint, status, headers);
          if (refusal.over) fail(refusal.failure());
        } else if (!isJson(headers['content-type'])) fail(garbage(context.endpoint));
      },
      onData(chunk) {
        traffic.received += chunk.length;
        if (refusal !== null) {
          refusal.take(chunk);
          if (refusal.over) fail(refusal.failure());
          return true;
        }
        chunks.push(chunk);
        if (traffic.received > longest) fail(garbage(context.endpoint));
        return true;
      },
      onEnd() {
        if (refusal !== null) return resolve({ kind: 'failed', http, failure: refusal.failure() });
        const whole = Buffer.concat(chunks);
        // RFC 8259 section 8.1: JSON between systems is UTF-8.
        const body = isUtf8(whole) ? read(whole) : null;
        if (http !== null && body !== null) resolve({ kind: 'answered', http, body });
        else fail(garbage(context.endpoint));
      },
      onError(error) {
        const failure = refusal?.failure() ?? transportFailure(context.endpoint, error, http);
        resolve({ kind: 'failed', http, failure });
      },
    },
  };
}

function isJson(type: string | undefined): boolean {
  return type !== undefined && /^application\/json\s*(;|$)/i.test(type);
}
