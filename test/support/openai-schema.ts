import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

const DESCRIPTION = new URL('../../fixtures/openai/openapi.yaml', import.meta.url);

let ajv: Ajv2020 | null = null;

/** Schemas of the description that replies of ours must match. */
export type ReplySchema =
  | 'CreateChatCompletionResponse'
  | 'CreateChatCompletionStreamResponse'
  | 'CreateEmbeddingResponse'
  | 'ListModelsResponse'
  | 'ErrorResponse';

/** What is wrong with a reply by the OpenAI description, one line each; empty when nothing is. */
export function validateReply(schema: ReplySchema, value: unknown): string[] {
  ajv ??= described();
  const validate = ajv.getSchema(`openai#/components/schemas/${schema}`);
  if (validate === undefined) throw new Error(`the OpenAI description has no schema ${schema}`);
  if (validate(value) === true) return [];
  return (validate.errors ?? []).map(
    (error) => `${error.instancePath || '/'} ${error.message ?? error.keyword}`,
  );
}

export { validateReply as openAiProblems };

// The description's formats are its own, so that Ajv must not insist on knowing them.
function described(): Ajv2020 {
  const validator = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const description: unknown = parse(readFileSync(DESCRIPTION, 'utf8'));
  validator.addSchema({ ...Object(withNull(description)), $id: 'openai' });
  return validator;
}

// `nullable` is of OpenAPI 3.0; the description says 3.1 and uses both ways.
function withNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withNull);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, member]) => [name, withNull(member)] as const);
  const { nullable, ...schema } = Object.fromEntries(entries);
  return nullable === true ? { anyOf: [schema, { type: 'null' }] } : schema;
}
