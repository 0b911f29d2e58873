import type { Fault } from '../core/fault.ts';
import type { Permit } from './permit.ts';
import { garbage, interrupted } from './refusal.ts';
import type { EgressRequest, EndpointChannel } from './types.ts';

/** An answer that was read to its end. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Sends one request and reads its answer, which may have at most `maxBytes`.
 * @throws Fault as `EgressHandler.onError`; `egress.garbage` for a longer answer, `egress.interrupted` when `signal`
 * aborts.
 */
export async function readWhole(
  channel: EndpointChannel,
  { permit, request }: { readonly permit: Permit; readonly request: EgressRequest },
  { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
): Promise<WholeAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WholeAnswer>();
  const chunks: Buffer[] = [];
  let [status, received] = [0, 0];
  let headers: WholeAnswer['headers'] = {};
  const call = channel.dispatch(permit, request, {
    onHead(got, given) {
      status = got;
      headers = given;
    },
    onData(chunk) {
      received += chunk.length;
      if (received > maxBytes) giveUp(garbage(`an answer of more than ${maxBytes} bytes`));
      else chunks.push(chunk);
      return true;
    },
    onEnd: () => resolve({ status, headers, body: Buffer.concat(chunks) }),
    onError: reject,
  });
  function giveUp(fault: Fault): void {
    call.abort();
    reject(fault);
  }
  const aborted = (): void => giveUp(interrupted('the exchange was given up'));
  signal.addEventListener('abort', aborted, { once: true });
  if (signal.aborted) aborted();
  return promise.finally(() => signal.removeEventListener('abort', aborted));
}
