import type { Exchange } from './exchange.ts';
import type { Gateway } from './govern.ts';
import { JSON_TYPE } from './errors.ts';

/** The bundle holds no times, and the description asks for one: seconds since 1970. */
const CREATED = 0;

/** `GET /v1/models`: the callers' names of the running bundle. */
export function listModels(gateway: Gateway, exchange: Exchange): void {
  const data = Object.keys(gateway.policy().bundle.models).map((id) => describe(gateway, id));
  send(exchange, { object: 'list', data });
}

/** `GET /v1/models/{id}`; false when the bundle has no such name. */
export function showModel(gateway: Gateway, exchange: Exchange, id: string): boolean {
  const known = Object.hasOwn(gateway.policy().bundle.models, id);
  if (known) send(exchange, describe(gateway, id));
  return known;
}

function describe(gateway: Gateway, id: string): Record<string, unknown> {
  const { bundle } = gateway.policy();
  return { id, object: 'model', created: CREATED, owned_by: bundle.site.name };
}

function send(exchange: Exchange, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  exchange.reply.head(200, { 'content-type': JSON_TYPE, 'content-length': String(body.length) });
  exchange.reply.end(body);
}
