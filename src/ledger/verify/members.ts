import { decodeBase64 } from './base64.ts';
import type { Findings } from './findings.ts';
import type { JsonObject, JsonValue } from './strict-json.ts';
import { isJsonObject, JsonNumber } from './strict-json.ts';

/**
 * Members of one object, read as what they must be. What is not as it must be is noted as invalid once and read as
 * undefined, so that checks which need it can be left out.
 */
export class Members {
  readonly where: string;
  readonly #object: JsonObject;
  readonly #findings: Findings;

  constructor(object: JsonObject, where: string, findings: Findings) {
    this.#object = object;
    this.where = where;
    this.#findings = findings;
  }

  has(name: string): boolean {
    return this.#object.has(name);
  }

  raw(name: string): JsonValue | undefined {
    return this.#object.get(name);
  }

  text(name: string): string | undefined {
    const value = this.raw(name);
    return typeof value === 'string' ? value : this.#refuse(name, 'a string');
  }

  integer(name: string): number | undefined {
    return integerOf(this.raw(name)) ?? this.#refuse(name, 'an integer from 0 to 2^53-1');
  }

  integerOrNull(name: string): number | null | undefined {
    return this.raw(name) === null ? null : this.integer(name);
  }

  array(name: string): readonly JsonValue[] | undefined {
    const value = this.raw(name);
    return isArray(value) ? value : this.#refuse(name, 'an array');
  }

  object(name: string): Members | undefined {
    const value = this.raw(name);
    if (isJsonObject(value)) return new Members(value, `${this.where}.${name}`, this.#findings);
    return this.#refuse(name, 'an object');
  }

  objectOrNull(name: string): Members | null | undefined {
    return this.raw(name) === null ? null : this.object(name);
  }

  /** The object of that name if there is one; its absence is no fault. */
  peek(name: string): Members | null {
    const value = this.raw(name);
    return isJsonObject(value) ? new Members(value, `${this.where}.${name}`, this.#findings) : null;
  }

  /** Base64 of any bytes, or of exactly `length`. */
  base64(name: string, length?: number): Uint8Array<ArrayBuffer> | undefined {
    const bytes = base64Of(this.raw(name), length);
    return bytes ?? this.#refuse(name, length === undefined ? 'base64' : `base64 of ${length} bytes`);
  }

  #refuse(name: string, expected: string): undefined {
    const found = this.has(name) ? 'found something else' : 'it is absent';
    this.#findings.invalid.push(`${this.where}.${name}: expected ${expected}, ${found}`);
    return undefined;
  }
}

/** The bytes, when the value is base64 text of them and they are `length` many. */
export function base64Of(value: JsonValue | undefined, length?: number): Uint8Array<ArrayBuffer> | null {
  const bytes = typeof value === 'string' ? decodeBase64(value) : null;
  return bytes === null || (length !== undefined && bytes.length !== length) ? null : bytes;
}

/** The number, when it is written as an integer from 0 to 2^53-1 without fraction or exponent. */
export function integerOf(value: JsonValue | undefined): number | null {
  if (!(value instanceof JsonNumber) || !/^(?:0|[1-9][0-9]*)$/.test(value.text)) return null;
  const number = Number(value.text);
  return Number.isSafeInteger(number) ? number : null;
}

// Array.isArray does not narrow to a readonly array.
function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
