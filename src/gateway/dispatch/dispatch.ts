import { SECOND } from '../../core/duration.ts';
import { toFault } from '../../core/fault.ts';
import type { Clock } from '../../core/world.ts';
import type { Attempt } from '../../crossing/road.ts';
import type { EgressCall } from '../../egress/types.ts';
import type { EndpointDecision } from '../../policy/types.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import { govern, type Gateway } from '../govern.ts';
import type { Turn } from '../routing/contender.ts';
import { retryHint } from '../routing/retry.ts';
import { Turns, type Waiting } from '../routing/turns.ts';
import { answerHeaders, failedResult, finish, giveUp } from './finish.ts';
import { plainRelay } from './relay-plain.ts';
import { streamRelay } from './relay-stream.ts';
import type { Operation, PreparedRequest } from './operation.ts';
import type { Relay, Relayed, RelayedFailure } from './relay.ts';
import type { Run } from './run.ts';

/** An endpoint with the request as it wants it. */
interface Prepared {
  readonly endpoint: Endpoint;
  readonly request: PreparedRequest;
}

/**
 * Takes one operation down the road: an attempt at each endpoint that policy allows, until one answers.
 * @throws Fault as `govern`, and what an adapter refuses.
 */
export async function dispatch(gateway: Gateway, exchange: Exchange, operation: Operation): Promise<void> {
  const { surface, stream } = operation;
  const governed = await govern(gateway, exchange, { surface, model: operation.model });
  if (governed === null) return;
  const { road, allowed, model } = governed;
  const client = new Client(exchange);
  const prepare = ({ endpoint: id }: EndpointDecision): Prepared => {
    const endpoint = gateway.endpoint(id);
    return { endpoint, request: operation.prepare(endpoint) };
  };
  const turns = new Turns(gateway.router, { allowed, model, stream, client, prepare });
  let turn = await turns.first();
  if (turn === null) return;
  const tried: string[] = [];
  let attempt = await recorded(turn, road.attempt(turn.decision, turn.prepared.request.body));
  for (;;) {
    const { endpoint, request } = turn.prepared;
    tried.push(endpoint.id);
    const commitment = attempt.responseCommitment();
    const run: Run = { gateway, exchange, road, operation, attempt, endpoint, request, commitment, tried };
    const relay = start(run, turn, client);
    const relayed = await relay.settled;
    giveBack(turn, relayed, gateway.world.clock);
    const failed = client.gone || !road.mayDecide() ? null : passedOver(relayed, relay);
    const next = failed === null ? null : await turns.next();
    if (failed === null || next === null) {
      await finish(run, relay, relayed);
      return;
    }
    if (client.gone || !road.mayDecide()) {
      next.left();
      await finish(run, relay, relayed);
      return;
    }
    const closing = { attempt, result: failedResult(run, relay, failed) };
    try {
      const { decision, prepared } = next;
      attempt = await recorded(next, road.attemptAfter(closing, decision, prepared.request.body));
    } catch (thrown) {
      giveUp(run, thrown);
      return;
    }
    turn = next;
  }
}

// A turn whose decision could not be recorded is given back.
async function recorded(turn: Turn<Prepared>, decided: Promise<Attempt>): Promise<Attempt> {
  try {
    return await decided;
  } catch (thrown) {
    turn.left();
    throw thrown;
  }
}

function giveBack(turn: Turn<Prepared>, relayed: Relayed, clock: Clock): void {
  if (relayed.kind === 'client-gone') turn.left();
  else if (relayed.kind !== 'failed') turn.done();
  else {
    const { http, failure } = relayed;
    const { health, mayRepeat, hints } = failure;
    turn.failed({ http, health, mayRepeat, hintMs: retryHint(hints, clock.now()) });
  }
}

/** Who asked, who may leave at any time. */
class Client implements Waiting {
  gone = false;
  relay: Relay | null = null;
  #waits: AbortController | null = null;

  constructor(exchange: Exchange) {
    exchange.reply.onGone(() => {
      this.gone = true;
      this.#waits?.abort();
      this.relay?.clientGone();
    });
  }

  signal(): AbortSignal {
    this.#waits ??= new AbortController();
    if (this.gone) this.#waits.abort();
    return this.#waits.signal;
  }
}

function start(run: Run, turn: Turn<Prepared>, client: Client): Relay {
  let call: EgressCall | null = null;
  const context = {
    endpoint: run.endpoint.id,
    reply: run.exchange.reply,
    begin() {
      turn.begun();
      run.exchange.reply.head(200, answerHeaders(run, 'text/event-stream; charset=utf-8'));
    },
    committed: (bytes: Buffer) => run.commitment.update(bytes),
    answered: () => void linger(run, () => call?.abort()),
    resume: () => call?.resume(),
    abort: () => call?.abort(),
  };
  const relay = run.operation.stream ? streamRelay(context) : plainRelay(context, run.operation);
  client.relay = relay;
  if (client.gone) {
    relay.clientGone();
    return relay;
  }
  if (turn.refusal !== null) {
    relay.handler.onError(turn.refusal);
    return relay;
  }
  try {
    call = run.attempt.send(run.endpoint.transport, run.request, relay.handler);
  } catch (thrown) {
    // The decision stands in the log, so a destination that refuses at once still gets its outcome.
    relay.handler.onError(toFault(thrown));
  }
  return relay;
}

// A connection whose answer ends soon can be used again; one that goes on talking is cut.
async function linger(run: Run, abort: () => void): Promise<void> {
  await run.gateway.world.clock.sleep(SECOND);
  abort();
}

/** The failure after which another endpoint may be asked; null when this attempt is the road's last. */
function passedOver(relayed: Relayed, relay: Relay): RelayedFailure | null {
  return relayed.kind === 'failed' && relayed.failure.mayTryNext && !relay.begun() ? relayed : null;
}
