import type { World } from '../../core/world.ts';
import type { EgressCall, EgressHandler, EgressRequest } from '../../egress/types.ts';
import type { Engine } from './engine.ts';
import { parseLlamaRequest } from './request.ts';
import type { LlamaRequest } from './request.ts';
import { LLAMA_EMBEDDINGS, parseLlamaEmbeddings, startEmbeddings } from './embeddings.ts';
import { silent, watchdog } from './watchdog.ts';
import { plainWire } from './wire-plain.ts';
import { streamWire } from './wire-stream.ts';
import type { AnswerFacts } from './wire.ts';

export interface LlamaTransport {
  /** Answers a prepared request as a provider would over a socket; there is none, so `observed()` is null. */
  dispatch(request: EgressRequest, handler: EgressHandler): EgressCall;
}

/** `fingerprint` names the model's bytes, such as its digest. */
export function llamaTransport(
  engine: Engine,
  options: { world: World; fingerprint: string },
): LlamaTransport {
  return {
    dispatch(request, handler) {
      const how = { ...options, timeoutMs: request.timeoutMs };
      const body: unknown = JSON.parse(request.body?.toString('utf8') ?? 'null');
      if (request.path === LLAMA_EMBEDDINGS)
        return startEmbeddings(engine, parseLlamaEmbeddings(body), handler, how);
      return startLlama(engine, parseLlamaRequest(body), handler, how);
    },
  };
}

export interface LlamaOptions {
  readonly world: World;
  readonly fingerprint: string;
  /** Milliseconds until the first piece of the answer, and between two. */
  readonly timeoutMs: number;
}

/** Runs one request on the engine; the handler hears what it would hear of a provider. */
export function startLlama(
  engine: Engine,
  request: LlamaRequest,
  handler: EgressHandler,
  options: LlamaOptions,
): EgressCall {
  const { world } = options;
  const abort = new AbortController();
  const facts: AnswerFacts = {
    id: world.ids.next('chatcmpl').replace('_', '-'),
    callId: () => world.ids.next('call'),
    created: Math.floor(world.clock.now() / 1000),
    model: request.model,
    fingerprint: options.fingerprint,
  };
  const watch = watchdog(world, options.timeoutMs, () => {
    abort.abort();
    handler.onError(silent());
  });
  const watched: EgressHandler = {
    onHead: (status, headers) => handler.onHead(status, headers),
    onData: (chunk) => handler.onData(chunk),
    onEnd() {
      watch.stop();
      handler.onEnd();
    },
    onError(fault) {
      watch.stop();
      handler.onError(fault);
    },
  };
  const wire = request.stream ? streamWire(facts, request.includeUsage, watched) : plainWire(facts, watched);
  engine.chat(
    request.job,
    {
      onEvent(event) {
        watch.touch();
        wire.onEvent(event);
      },
      onEnd: (result) => wire.onEnd(result),
      onError: (fault) => wire.onError(fault),
    },
    abort.signal,
  );
  return {
    resume: () => wire.resume(),
    abort() {
      watch.stop();
      abort.abort();
    },
    observed: () => null,
  };
}
