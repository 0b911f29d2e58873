import type { AttemptResult } from '../../crossing/road.ts';
import {
  errorBody,
  errorEvent,
  JSON_TYPE,
  noEligibleEndpoint,
  surfaceError,
  upstreamInterrupted,
  type SurfaceError,
} from '../errors.ts';
import { toFault } from '../../core/fault.ts';
import { governedHeaders } from '../govern.ts';

import type { Failure } from './outcome.ts';
import type { Relay, Relayed, RelayedFailure } from './relay.ts';
import type { Run } from './run.ts';

/** The last bytes of an answer and the outcome that must be durable before they leave. */
interface Ending {
  readonly result: AttemptResult;
  /** Sends the answer's end; null when there is nobody to send it to. */
  readonly send: (() => void) | null;
}

/** Records the outcome, and only then lets the answer end. */
export async function finish(run: Run, relay: Relay, relayed: Relayed): Promise<void> {
  const ending = endingOf(run, relay, relayed);
  try {
    await run.attempt.close(ending.result, { roadEnds: true });
  } catch (thrown) {
    // Bytes flowed and the log cannot say so: an answer without its normal end is the only honest one.
    run.gateway.log.error('gateway.outcome_not_recorded', { code: toFault(thrown).code });
    run.exchange.reply.cut();
    return;
  }
  ending.send?.();
}

/** Answers a road that can neither be closed nor go on, because the log takes nothing more. */
export function giveUp(run: Run, thrown: unknown): void {
  const error = surfaceError(toFault(thrown));
  const body = errorBody(error);
  run.gateway.log.error('gateway.road_given_up', { code: error.code });
  run.exchange.reply.head(error.status, { ...answerHeaders(run, JSON_TYPE), ...error.headers });
  run.exchange.reply.end(body);
}

export function answerHeaders(run: Run, type: string): Record<string, string> {
  return { ...governedHeaders(run.road, run.exchange, run.endpoint.id), 'content-type': type };
}

function endingOf(run: Run, relay: Relay, relayed: Relayed): Ending {
  switch (relayed.kind) {
    case 'answered':
      return whole(run, relay, { http: relayed.http, body: relayed.body });
    case 'streamed':
      return last(run, relay, { http: relayed.http, bytes: relayed.terminal, status: 'ok', code: null });
    case 'failed':
      return failed(run, relay, relayed);
    case 'client-gone':
      return {
        result: {
          status: 'client-gone',
          code: null,
          http: relayed.http,
          sent: run.attempt.mayHaveLeft(run.endpoint) ? run.request.body.length : 0,
          received: relay.traffic.received,
          res: relay.begun() ? run.commitment.digest() : null,
        },
        send: null,
      };
  }
}

function whole(run: Run, relay: Relay, answer: { http: number; body: Buffer }): Ending {
  run.commitment.update(answer.body);
  return {
    result: {
      status: 'ok',
      code: null,
      http: answer.http,
      sent: run.request.body.length,
      received: relay.traffic.received,
      res: run.commitment.digest(),
    },
    send() {
      run.exchange.reply.head(200, {
        ...answerHeaders(run, JSON_TYPE),
        'content-length': String(answer.body.length),
      });
      run.exchange.reply.end(answer.body);
    },
  };
}

function last(
  run: Run,
  relay: Relay,
  end: { http: number | null; bytes: Buffer; status: 'ok' | 'interrupted'; code: string | null },
): Ending {
  run.commitment.update(end.bytes);
  return {
    result: {
      status: end.status,
      code: end.code,
      http: end.http,
      sent: run.request.body.length,
      received: relay.traffic.received,
      res: run.commitment.digest(),
    },
    send: () => run.exchange.reply.end(end.bytes),
  };
}

/** What the log says of an attempt that gave the client nothing. */
export function failedResult(run: Run, relay: Relay, { failure, http }: RelayedFailure): AttemptResult {
  return {
    status: failure.status,
    code: failure.code,
    http,
    sent: bytesSent(run, failure),
    received: relay.traffic.received,
    res: null,
  };
}

function failed(run: Run, relay: Relay, relayed: RelayedFailure): Ending {
  const { failure, http } = relayed;
  if (relay.begun()) {
    const error = upstreamInterrupted(run.endpoint.id);
    return last(run, relay, { http, bytes: errorEvent(error), status: 'interrupted', code: error.code });
  }
  const error = errorAfter(run, failure);
  const body = errorBody(error);
  run.commitment.update(body);
  return {
    result: { ...failedResult(run, relay, relayed), res: run.commitment.digest() },
    send() {
      const headers = { ...answerHeaders(run, JSON_TYPE), ...error.headers };
      run.exchange.reply.head(error.status, { ...headers, 'content-length': String(body.length) });
      run.exchange.reply.end(body);
    },
  };
}

function errorAfter(run: Run, failure: Failure): SurfaceError {
  const none = failure.code === 'no_eligible_endpoint' || (failure.mayTryNext && new Set(run.tried).size > 1);
  return none
    ? noEligibleEndpoint([...new Set(run.tried)], failure.error.headers?.['retry-after'])
    : failure.error;
}

// Every guard but the one on redirects refuses before the body leaves.
function bytesSent(run: Run, failure: Failure): number {
  const nothing =
    failure.status === 'not-sent' || (failure.status === 'refused' && failure.code !== 'redirect');
  return nothing ? 0 : run.request.body.length;
}
