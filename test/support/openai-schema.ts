import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { ROOT } from './source.ts';

export type ReplySchema =
  | 'CreateChatCompletionResponse'
  | 'CreateChatCompletionStreamResponse'
  | 'ListModelsResponse'
  | 'ErrorResponse'
  | 'CreateEmbeddingResponse';

const DESCRIPTION = path.join(ROOT, 'fixtures', 'openai', 'openapi.yaml');
let compiler: Ajv2020 | null = null;

/** What is wrong with a reply by OpenAI's own description of it, one line each; empty when nothing is. */
export function validateReply(name: ReplySchema, value: unknown): readonly string[] {
  const validate = schemaNamed(name);
  if (validate(value)) return [];
  return (validate.errors ?? []).map(
    (error) => `${error.instancePath || '/'} ${error.message ?? error.keyword}`,
  );
}

function schemaNamed(name: ReplySchema): ValidateFunction {
  compiler ??= readDescription();
  const validate = compiler.getSchema(`openai#/components/schemas/${name}`);
  if (validate === undefined) throw new Error(`the description has no schema ${name}`);
  return validate;
}

function readDescription(): Ajv2020 {
  const description: unknown = parse(readFileSync(DESCRIPTION, 'utf8'));
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema({ ...asRecord(nullableAsUnion(description)), $id: 'openai' });
  return ajv;
}

// The description writes OpenAPI 3.0's `nullable` beside 3.1 schemas, where a validator knows no such word.
function nullableAsUnion(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(nullableAsUnion);
  if (!isRecord(value)) return value;
  const { nullable, ...rest } = value;
  const converted = Object.fromEntries(
    Object.entries(rest).map(([name, member]) => [name, nullableAsUnion(member)]),
  );
  if (nullable === undefined) return converted;
  if (typeof nullable !== 'boolean') return { ...converted, nullable: nullableAsUnion(nullable) };
  return nullable ? { anyOf: [converted, { type: 'null' }] } : converted;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (isRecord(value)) return value;
  throw new TypeError('the description is no object');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
