import { z } from 'zod';
import type { Route } from '../core/route.ts';

/** The OpenAPI 3.1 document of the contracts' routes. */
export function openApiDocument(routes: readonly Route[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll('+}', '}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sekisho',
      version: '1',
      description: 'Routes outside the OpenAI-compatible surface, which follows its own description.',
    },
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}

function operation(route: Route): Record<string, unknown> {
  const schema = route.reply === null ? { type: 'string' } : jsonSchema(route.reply);
  return {
    summary: route.summary,
    security: route.auth === 'public' ? [] : [{ key: [] }],
    parameters: [...pathParameters(route), ...queryParameters(route)],
    ...(route.body === null
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              [route.text === undefined ? 'application/json' : 'text/plain']: {
                schema: jsonSchema(route.body),
              },
            },
          },
        }),
    responses: {
      '200': { description: 'Success', content: { [route.produces]: { schema } } },
      default: { description: 'Problem details (RFC 9457)', content: { 'application/problem+json': {} } },
    },
  };
}

function pathParameters(route: Route): Record<string, unknown>[] {
  return [...route.path.matchAll(/\{(\w+)\+?\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(route: Route): Record<string, unknown>[] {
  const { properties } = jsonSchema(route.query);
  if (typeof properties !== 'object' || properties === null) return [];
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }));
}

function jsonSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}
