import type { AttemptResult } from '../../crossing/road.ts';
import type { EgressCall, EgressRequest } from '../../egress/types.ts';
import type { EndpointDecision } from '../../policy/types.ts';
import type { Endpoint } from '../endpoint.ts';
import { SECOND } from '../../core/duration.ts';
import { toFault } from '../../core/fault.ts';
import type { Exchange } from '../exchange.ts';
import { govern, type Gateway, type Governed } from '../govern.ts';
import { answerHeaders, finish, giveUp } from './finish.ts';
import { plainRelay } from './relay-plain.ts';
import { streamRelay } from './relay-stream.ts';
import { parseChat, type ChatRequest } from './request.ts';
import type { Relay, Relayed } from './relay.ts';
import type { Run } from './run.ts';

/** An endpoint that policy allows, with the request as it wants it. */
interface Candidate {
  readonly decision: EndpointDecision;
  readonly endpoint: Endpoint;
  readonly request: EgressRequest & { readonly body: Buffer };
}

/** `POST /v1/chat/completions`, plain and streamed. */
export async function chatCompletions(gateway: Gateway, exchange: Exchange): Promise<void> {
  const chat = parseChat(exchange.body);
  const governed = await govern(gateway, exchange, { surface: 'openai', model: chat.model });
  if (governed === null) return;
  const { road } = governed;
  const candidates = candidatesOf(gateway, governed, chat);
  const first = candidates.next();
  if (first.done === true) throw toFault(first.value);
  const client = watchClient(exchange);
  const tried: string[] = [];
  let candidate = first.value;
  let attempt = await road.attempt(candidate.decision, candidate.request.body);
  for (;;) {
    const { endpoint, request } = candidate;
    tried.push(endpoint.id);
    const commitment = attempt.responseCommitment();
    const run: Run = { gateway, exchange, road, chat, attempt, endpoint, request, commitment, tried };
    const relay = start(run, client);
    const relayed = await relay.settled;
    const over = !mayTryNext(relayed, relay) || client.gone || !road.mayDecide();
    const next = over ? null : candidates.next();
    if (next === null || next.done === true) {
      await finish(run, relay, relayed);
      return;
    }
    candidate = next.value;
    const failed = { attempt, result: resultOfFailed(relayed) };
    try {
      attempt = await road.attemptAfter(failed, candidate.decision, candidate.request.body);
    } catch (thrown) {
      giveUp(run, thrown);
      return;
    }
  }
}

// Each request is made ready when its turn comes. An endpoint that cannot honour it is passed over; when none can, the
// caller learns from the first which parameter it is.
function* candidatesOf(
  gateway: Gateway,
  governed: Governed,
  chat: ChatRequest,
): Generator<Candidate, unknown> {
  let refusal: unknown = null;
  for (const decision of governed.allowed) {
    const endpoint = gateway.endpoint(decision.endpoint);
    try {
      yield { decision, endpoint, request: endpoint.prepareChat(chat) };
    } catch (thrown) {
      refusal ??= thrown;
    }
  }
  return refusal;
}

interface ClientWatch {
  gone: boolean;
  relay: Relay | null;
}

function watchClient(exchange: Exchange): ClientWatch {
  const watch: ClientWatch = { gone: false, relay: null };
  exchange.reply.onGone(() => {
    watch.gone = true;
    watch.relay?.clientGone();
  });
  return watch;
}

function start(run: Run, client: ClientWatch): Relay {
  let call: EgressCall | null = null;
  const context = {
    endpoint: run.endpoint.id,
    reply: run.exchange.reply,
    begin: () => run.exchange.reply.head(200, answerHeaders(run, 'text/event-stream; charset=utf-8')),
    committed: (bytes: Buffer) => run.commitment.update(bytes),
    answered: () => void linger(run, () => call?.abort()),
    resume: () => call?.resume(),
    abort: () => call?.abort(),
  };
  const relay = run.chat.stream ? streamRelay(context) : plainRelay(context);
  client.relay = relay;
  if (client.gone) {
    relay.clientGone();
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

function mayTryNext(relayed: Relayed, relay: Relay): boolean {
  return relayed.kind === 'failed' && relayed.failure.mayTryNext && !relay.begun();
}

function resultOfFailed(relayed: Relayed): AttemptResult {
  const known = relayed.kind === 'failed' ? relayed.failure : null;
  return {
    status: known?.status ?? 'not-sent',
    code: known?.code ?? null,
    http: relayed.kind === 'failed' ? relayed.http : null,
    sent: 0,
    received: 0,
    res: null,
  };
}
