/** A number as it was written: `1.0`, `1e0` and `1` are told apart. */
export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A Map, so that a member named `__proto__` is a member like any other. */
export type JsonObject = ReadonlyMap<string, JsonValue>;
export type JsonValue = null | boolean | string | JsonNumber | readonly JsonValue[] | JsonObject;

export type JsonReading =
  | { readonly ok: true; readonly value: JsonValue; readonly duplicate: string | null }
  | { readonly ok: false; readonly tooDeep: boolean; readonly message: string };

const MAX_DEPTH = 64;

/**
 * Reads one RFC 8259 value in valid UTF-8 without BOM, nested at most 64 deep. `duplicate` is the first member name,
 * compared after unescaping, that an object at any depth holds twice; the value then keeps the first.
 */
export function readJson(bytes: Uint8Array): JsonReading {
  const text = decodeUtf8(bytes);
  if (text === null) return { ok: false, tooDeep: false, message: 'not valid UTF-8' };
  const reader = new Reader(text);
  try {
    return { ok: true, value: reader.document(), duplicate: reader.duplicate };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { ok: false, tooDeep: thrown.tooDeep, message: thrown.message };
  }
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The text, a leading BOM kept as a character, or null when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

class Refusal extends Error {
  readonly tooDeep: boolean;

  constructor(message: string, tooDeep = false) {
    super(message);
    this.tooDeep = tooDeep;
  }
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERALS: readonly (readonly [string, null | boolean])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

class Reader {
  duplicate: string | null = null;
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#refuse('expected nothing after the value');
    return value;
  }

  #value(): JsonValue {
    this.#space();
    const first = this.#text[this.#at];
    if (first === '{') return this.#nested(() => this.#object());
    if (first === '[') return this.#nested(() => this.#array());
    if (first === '"') return this.#string();
    for (const [word, value] of LITERALS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new Refusal(`nested deeper than ${MAX_DEPTH}`, true);
    this.#at++;
    const value = read();
    this.#depth--;
    return value;
  }

  #object(): JsonObject {
    const members = new Map<string, JsonValue>();
    if (this.#took('}')) return members;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') throw this.#refuse('expected a member name');
      const name = this.#string();
      if (!this.#took(':')) throw this.#refuse('expected ":"');
      const value = this.#value();
      if (members.has(name)) this.duplicate ??= name;
      else members.set(name, value);
    } while (this.#took(','));
    if (!this.#took('}')) throw this.#refuse('expected "," or "}"');
    return members;
  }

  #array(): readonly JsonValue[] {
    const items: JsonValue[] = [];
    if (this.#took(']')) return items;
    do items.push(this.#value());
    while (this.#took(','));
    if (!this.#took(']')) throw this.#refuse('expected "," or "]"');
    return items;
  }

  #string(): string {
    let start = ++this.#at;
    let value = '';
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === 0x22) {
        value += this.#text.slice(start, this.#at++);
        return value;
      }
      if (code === 0x5c) {
        value += this.#text.slice(start, this.#at) + this.#escape();
        start = this.#at;
        continue;
      }
      // NaN, past the end, is not at least a space either.
      if (!(code >= 0x20)) throw this.#refuse('expected the end of a string');
      this.#at++;
    }
  }

  #escape(): string {
    const letter = this.#text.charAt(this.#at + 1);
    const plain = ESCAPES.get(letter);
    if (plain !== undefined) {
      this.#at += 2;
      return plain;
    }
    const digits = this.#text.slice(this.#at + 2, this.#at + 6);
    if (letter !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#refuse('unknown escape');
    this.#at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #number(): JsonNumber {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (found === null) throw this.#refuse('expected a value');
    this.#at = NUMBER.lastIndex;
    return new JsonNumber(found[0]);
  }

  #took(sign: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #refuse(message: string): Refusal {
    return new Refusal(`not JSON at character ${this.#at}: ${message}`);
  }
}
