import { isRecord } from '../json-body.ts';
import type { EmbeddingsRequest, Encoding } from './request.ts';

const FLOAT_BYTES = 4;

/**
 * A provider's embeddings in the encoding that was asked for, whichever it sent; as it came when they agree. Null for
 * anything but one vector for each input, in order.
 */
export function readEmbeddings(body: Buffer, asked: EmbeddingsRequest): Buffer | null {
  const list = parsed(body);
  const data = list?.['data'];
  if (list?.['object'] !== 'list' || !Array.isArray(data) || data.length !== asked.count) return null;
  let agreed = true;
  const turned: object[] = [];
  for (const [i, item] of data.entries()) {
    const vector: unknown = isRecord(item) && item['index'] === i ? item['embedding'] : null;
    const encoded = inEncoding(vector, asked.encoding);
    if (encoded === null) return null;
    agreed &&= encoded === vector;
    turned.push({ ...Object(item), embedding: encoded });
  }
  return agreed ? body : Buffer.from(JSON.stringify({ ...list, data: turned }));
}

/** A vector as an answer holds it. */
export function encodeVector(vector: readonly number[], encoding: Encoding): string | readonly number[] {
  const floats = Float32Array.from(vector);
  if (encoding === 'float') return [...floats];
  const bytes = Buffer.alloc(floats.length * FLOAT_BYTES);
  for (const [i, float] of floats.entries()) bytes.writeFloatLE(float, i * FLOAT_BYTES);
  return bytes.toString('base64');
}

function inEncoding(vector: unknown, encoding: Encoding): string | readonly number[] | null {
  if (Array.isArray(vector) && vector.length > 0 && vector.every(isNumber)) {
    return encoding === 'float' ? vector : encodeVector(vector, encoding);
  }
  if (typeof vector !== 'string') return null;
  const bytes = Buffer.from(vector, 'base64');
  const whole = bytes.length > 0 && bytes.length % FLOAT_BYTES === 0 && bytes.toString('base64') === vector;
  if (!whole) return null;
  return encoding === 'base64' ? vector : floatsOf(bytes);
}

function floatsOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / FLOAT_BYTES }, (_, i) => bytes.readFloatLE(i * FLOAT_BYTES));
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function parsed(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
