import type { z } from 'zod';

/** Who may call a route: anybody, any key, or a key that holds one of the roles. */
export type RouteAuth = 'public' | 'any-key' | readonly string[];

/** One row of a room's contract: the route as clients and the OpenAPI document see it. */
export interface Route<Q extends z.ZodType = z.ZodType, B extends z.ZodType = z.ZodType> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Parameters in braces; `{rest+}` at the end takes the remaining path. */
  readonly path: string;
  readonly auth: RouteAuth;
  readonly summary: string;
  readonly query: Q;
  /** Null for requests without a body. */
  readonly body: B | null;
  /** The body is UTF-8 text of at most so many bytes instead of JSON. */
  readonly text?: { readonly maxBytes: number };
  /** The JSON reply, or null when `produces` names another media type. */
  readonly reply: z.ZodType | null;
  readonly produces: string;
  /** True when pages of other origins may read it. */
  readonly crossOrigin?: boolean;
}

/** Who calls, as routes need it; null on public routes called without a key. */
export interface RouteCaller {
  readonly id: string;
  readonly tenant: string;
  readonly roles: readonly string[];
}

export interface RouteInput<Q, B> {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  readonly caller: RouteCaller | null;
  readonly header: (name: string) => string | null;
  readonly signal: AbortSignal;
}

export interface RouteReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly content?: { readonly type: string; readonly bytes: Uint8Array };
}

/** A route with the domain call behind it. */
export interface BoundRoute {
  readonly route: Route;
  readonly handle: (input: RouteInput<unknown, unknown>) => Promise<RouteReply>;
}

/** Binds a handler whose input has the types of the route's schemas. */
export function bind<Q extends z.ZodType, B extends z.ZodType>(
  route: Route<Q, B>,
  handle: (input: RouteInput<z.output<Q>, z.output<B>>) => Promise<RouteReply>,
): BoundRoute {
  return {
    route,
    // The server calls a handler only with what its own schemas have parsed.
    handle: async (input) => handle(input as RouteInput<z.output<Q>, z.output<B>>),
  };
}
