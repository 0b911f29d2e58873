import { dispatch } from '../dispatch.ts';
import type { Exchange } from '../exchange.ts';
import type { Gateway } from '../govern.ts';
import type { Surface } from '../operation.ts';
import { readEmbeddings } from './answer.ts';
import { parseEmbeddings } from './request.ts';

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
    prepare: (endpoint) => endpoint.prepareEmbeddings(asked),
    read: (body) => readEmbeddings(body, asked),
  });
}
