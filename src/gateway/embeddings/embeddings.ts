import { dispatch } from '../dispatch/dispatch.ts';
import type { Exchange } from '../exchange.ts';
import type { Gateway } from '../govern.ts';
import type { Surface } from '../dispatch/operation.ts';
import { readEmbeddings } from './answer.ts';
import { parseEmbeddings } from './request.ts';

const FRAME_BYTES = 1024 * 1024;
/** For 5,000 numbers of 25 characters: more than any model of today gives. */
const VECTOR_BYTES = 128 * 1024;

/** `POST /v1/embeddings` and its kin. `named` is the model that the path names, if it does. */
export async function embeddings(
  gateway: Gateway,
  exchange: Exchange,
  surface: Surface,
  named: string | null = null,
): Promise<void> {
  const asked = parseEmbeddings(exchange.body, named);
  await dispatch(gateway, exchange, {
    surface,
    model: asked.model,
    stream: false,
    longest: FRAME_BYTES + asked.count * VECTOR_BYTES,
    prepare: (endpoint) => endpoint.prepareEmbeddings(asked),
    read: (body) => readEmbeddings(body, asked),
  });
}
