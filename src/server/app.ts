import { Hono, type Context } from 'hono';
import { z } from 'zod';
import { Fault, toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';
import type { BoundRoute, Route, RouteCaller, RouteReply } from '../core/route.ts';
import { GrowingBody } from './body.ts';
import { faultReply } from './fault-reply.ts';
import { invalidKey, methodNotAllowed } from './surfaces.ts';

export interface AppOptions {
  readonly routes: readonly BoundRoute[];
  readonly authenticate: (headers: Readonly<Record<string, string | undefined>>) => RouteCaller | null;
  readonly log: Log;
}

/** The largest body of a route outside the surfaces. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Every route but the hot surfaces, from the contracts' tables. */
export function createApp(options: AppOptions): Hono {
  const app = new Hono({ strict: true });
  const methods = new Map<string, string[]>();
  for (const { route, handle } of options.routes) {
    const path = honoPath(route.path);
    methods.set(path, [...(methods.get(path) ?? []), route.method]);
    app.on(route.method, path, async (context) => run(options, { route, handle }, context));
  }
  for (const [path, allowed] of methods) {
    const all = allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed;
    app.all(path, () => {
      throw methodNotAllowed(all);
    });
  }
  app.notFound((context) => failed(context, options.log, noPath()));
  app.onError((error, context) => failed(context, options.log, toFault(error)));
  return app;
}

async function run(options: AppOptions, bound: BoundRoute, context: Context): Promise<Response> {
  const { route } = bound;
  if (isEscaped(route, context)) throw noPath();
  const caller = options.authenticate(context.req.header());
  authorize(route, caller);
  const input = {
    params: paramsOf(route, context),
    query: parsed(route.query, context.req.query(), 'query'),
    body: route.body === null ? undefined : parsed(route.body, await bodyOf(route, context), 'body'),
    caller,
    header: (name: string) => context.req.header(name) ?? null,
    signal: context.req.raw.signal,
  };
  return respond(route, await bound.handle(input));
}

function authorize(route: Route, caller: RouteCaller | null): void {
  if (route.auth === 'public') return;
  if (caller === null) throw invalidKey();
  if (route.auth === 'any-key') return;
  const needed = route.auth;
  if (caller.roles.some((role) => needed.includes(role))) return;
  throw new Fault('denied', 'identity.role_needed', `this needs the role ${needed.join(' or ')}`);
}

function respond(route: Route, reply: RouteReply): Response {
  const headers = new Headers({ 'content-type': reply.content?.type ?? route.produces, ...reply.headers });
  if (route.crossOrigin === true) headers.set('access-control-allow-origin', '*');
  const status = reply.status ?? 200;
  if (reply.content === undefined) return new Response(JSON.stringify(reply.json), { status, headers });
  return new Response(new Uint8Array(reply.content.bytes), { status, headers });
}

async function bodyOf({ text }: Route, context: Context): Promise<unknown> {
  const bytes = await boundedBody(context, text?.maxBytes ?? MAX_BODY_BYTES);
  const decoded = decodedBody(bytes);
  if (text !== undefined) return decoded;
  try {
    return JSON.parse(decoded);
  } catch (cause) {
    throw new Fault('invalid', 'server.body', 'the body is not valid JSON in UTF-8', { cause });
  }
}

// A body without a length says how long it is only when it ends, so it is counted as it comes.
async function boundedBody(context: Context, maxBytes: number): Promise<Buffer> {
  if (Number(context.req.header('content-length') ?? Number.NaN) > maxBytes) throw tooLarge(maxBytes);
  const body = new GrowingBody(maxBytes);
  for await (const chunk of context.req.raw.body ?? []) {
    if (!body.take(chunk)) throw tooLarge(maxBytes);
  }
  return body.bytes();
}

function decodedBody(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('invalid', 'server.body', 'the body is not valid UTF-8', { cause });
  }
}

function tooLarge(maxBytes: number): Fault {
  return new Fault('invalid', 'gateway.request_too_large', `the body is larger than ${maxBytes} bytes`);
}

function parsed(schema: z.ZodType, value: unknown, where: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Fault(
    'invalid',
    `server.${where}`,
    `the ${where} is not as expected: ${z.prettifyError(result.error)}`,
  );
}

// Hono names parameters `:id`; a rest parameter takes slashes too.
function honoPath(path: string): string {
  return path.replace(/\{(\w+)\+\}/, ':$1{.+}').replaceAll(/\{(\w+)\}/g, ':$1');
}

// A rest parameter is a path itself. An escape in it, decoded after the routes were matched, could spell the path of
// another route whose guard was never asked.
function isEscaped(route: Route, context: Context): boolean {
  return route.path.endsWith('+}') && new URL(context.req.url).pathname.includes('%');
}

function paramsOf(route: Route, context: Context): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [, name] of route.path.matchAll(/\{(\w+)\+?\}/g)) {
    if (name !== undefined) params[name] = context.req.param(name) ?? '';
  }
  return params;
}

function noPath(): Fault {
  return new Fault('missing', 'gateway.not_found', 'there is nothing at this path');
}

function failed(context: Context, log: Log, fault: Fault): Response {
  if (fault.kind === 'internal') log.error('server.route_failed', { code: fault.code });
  const { status, headers, body } = faultReply(fault, context.req.path);
  return new Response(new Uint8Array(body), { status, headers });
}
