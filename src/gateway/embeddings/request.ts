import { Fault } from '../../core/fault.ts';
import { parseJsonObject } from '../json-body.ts';
import { modelName } from '../model-name.ts';

/** An embeddings request whose shape was checked; `body` holds every member as the caller sent it. */
export interface EmbeddingsRequest {
  readonly model: string;
  /** How many vectors the answer has. */
  readonly count: number;
  readonly encoding: Encoding;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Numbers, or base64 of little-endian 32-bit floats. */
export type Encoding = 'float' | 'base64';

/** The OpenAI description's bounds of `input`. */
const MAX_INPUTS = 2_048;

/**
 * Parses an embeddings body. `named` is the model that the path names; it outranks the body's.
 * @throws Fault `gateway.invalid_request` with `param`.
 */
export function parseEmbeddings(bytes: Buffer, named: string | null = null): EmbeddingsRequest {
  const parsed = parseJsonObject(bytes);
  return checkEmbeddings(named === null ? parsed : { ...parsed, model: named });
}

/**
 * Checks the shape of an embeddings body.
 * @throws Fault `gateway.invalid_request` with `param`.
 */
export function checkEmbeddings(body: Readonly<Record<string, unknown>>): EmbeddingsRequest {
  const { encoding_format: encoding = 'float', dimensions = null } = body;
  const model = modelName(body['model']);
  const count = inputs(body['input']);
  if (encoding !== 'float' && encoding !== 'base64') {
    throw invalid('encoding_format', 'expected float or base64');
  }
  if (dimensions !== null && !(Number.isSafeInteger(dimensions) && Number(dimensions) > 0)) {
    throw invalid('dimensions', 'expected a positive integer');
  }
  return { model, count, encoding, body };
}

function inputs(input: unknown): number {
  if (isText(input) || isTokens(input)) return 1;
  const whole = Array.isArray(input) && (input.every(isText) || input.every(isTokens));
  if (whole && input.length > 0 && input.length <= MAX_INPUTS) return input.length;
  throw invalid(
    'input',
    `expected a text, a list of token numbers, or a list of at most ${MAX_INPUTS} of either, none empty`,
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isTokens(value: unknown): boolean {
  const token = (one: unknown): boolean => Number.isSafeInteger(one) && Number(one) >= 0;
  return Array.isArray(value) && value.length > 0 && value.every(token);
}

function invalid(param: string, message: string): Fault {
  return new Fault('invalid', 'gateway.invalid_request', `${param}: ${message}`, { details: { param } });
}
