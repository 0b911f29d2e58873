import type { Json } from '../../core/canonical-json.ts';
import { Fault, toFault } from '../../core/fault.ts';
import type { EgressCall, EgressHandler } from '../../egress/types.ts';
import { encodeVector } from '../embeddings/answer.ts';
import { checkEmbeddings } from '../embeddings/request.ts';
import type { Encoding } from '../embeddings/request.ts';
import type { Engine } from './engine.ts';
import { Outlet } from './outlet.ts';
import type { EmbedResult } from './protocol.ts';
import { objectAt, unsupported } from './reading.ts';
import { inert, obeyed, only, refuseUnsupported, type Fact } from './request.ts';
import type { LlamaOptions } from './transport.ts';
import { silent, watchdog } from './watchdog.ts';

/** Where the local engine takes embeddings. */
export const LLAMA_EMBEDDINGS = '/embeddings';

/** Every parameter of CreateEmbeddingRequest. A name that is not here is refused, never dropped. */
export const EMBEDDING_PARAMETERS: Readonly<Record<string, Fact>> = {
  input: obeyed,
  model: obeyed,
  encoding_format: obeyed,
  // The model's vectors have the size that it was trained for.
  dimensions: only(),
  user: inert,
};

/** An embeddings request that the local engine can answer in full. */
export interface LlamaEmbeddings {
  readonly model: string;
  readonly inputs: readonly string[];
  readonly encoding: Encoding;
}

/**
 * Reads an embeddings body as JSON.parse gave it.
 * @throws Fault `gateway.unsupported_parameter` for other dimensions than the model's and for token numbers, which are
 * another tokenizer's.
 */
export function parseLlamaEmbeddings(parsed: unknown): LlamaEmbeddings {
  // JSON.parse made it, so it is JSON.
  const body = objectAt(parsed as Json, 'the body');
  refuseUnsupported(body, EMBEDDING_PARAMETERS);
  const { model, encoding } = checkEmbeddings(body);
  const input = body['input'] ?? null;
  const list: readonly Json[] = Array.isArray(input) ? input : [input];
  const inputs = list.filter((text): text is string => typeof text === 'string');
  if (inputs.length < list.length) throw unsupported('input', 'as token numbers; send texts');
  return { model, inputs, encoding };
}

/** Computes one embeddings request on the engine; the handler hears what it would hear of a provider. */
export function startEmbeddings(
  engine: Engine,
  asked: LlamaEmbeddings,
  handler: EgressHandler,
  { world, timeoutMs }: LlamaOptions,
): EgressCall {
  const abort = new AbortController();
  const outlet = new Outlet(handler);
  const watch = watchdog(world, timeoutMs, () => {
    abort.abort();
    outlet.fail(silent());
  });
  engine.embed(asked.inputs, abort.signal).then(
    (result) => {
      watch.stop();
      outlet.head('application/json');
      outlet.write(answerOf(asked, result));
      outlet.end();
    },
    (thrown: unknown) => {
      watch.stop();
      if (!abort.signal.aborted) outlet.fail(aboutInput(toFault(thrown)));
    },
  );
  return {
    resume: () => outlet.resume(),
    abort() {
      watch.stop();
      abort.abort();
    },
    observed: () => null,
  };
}

function answerOf({ model, encoding }: LlamaEmbeddings, { vectors, promptTokens }: EmbedResult): Buffer {
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: encodeVector(unit(vector), encoding),
  }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return Buffer.from(JSON.stringify({ object: 'list', data, model, usage }));
}

// OpenAI's vectors have length 1, and callers compare by the inner product alone.
function unit(vector: readonly number[]): readonly number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((part) => part / length);
}

function aboutInput(fault: Fault): Fault {
  if (fault.code !== 'gateway.context_length_exceeded') return fault;
  const message = `an input has more tokens than the ${String(fault.details['contextSize'])} that the model takes`;
  return new Fault('invalid', fault.code, message, { details: { ...fault.details, param: 'input' } });
}
