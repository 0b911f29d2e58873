import { Fault } from '../core/fault.ts';
import { surfaceError } from '../gateway/errors.ts';
import { faultReply } from './fault-reply.ts';
import type { Incoming, Refusal } from './listen.ts';
import type { Metrics } from './metrics.ts';

export interface FrontDoorOptions {
  readonly hostAllowed: (host: string | undefined) => boolean;
  readonly metrics: Metrics;
}

/** What every request must pass, whichever path it asks for: a Host of this site, and no content-encoding. */
export function frontDoor({
  hostAllowed,
  metrics,
}: FrontDoorOptions): (incoming: Incoming) => Refusal | null {
  return (incoming) => {
    const fault = objection(incoming, hostAllowed);
    if (fault === null) return null;
    metrics.count('sekisho_refusals_total', { code: surfaceError(fault).code });
    return faultReply(fault, incoming.path);
  };
}

function objection(incoming: Incoming, hostAllowed: FrontDoorOptions['hostAllowed']): Fault | null {
  if (!hostAllowed(incoming.header('host') ?? undefined)) {
    const message = 'the Host header names no host of this site; list it under server.hosts';
    return new Fault('invalid', 'gateway.misdirected', message);
  }
  if (incoming.header('content-encoding') === null) return null;
  const message = 'a request with a content-encoding is not accepted; send the body as it is';
  return new Fault('invalid', 'gateway.unsupported_encoding', message);
}
