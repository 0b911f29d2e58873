import { inspect } from 'node:util';

const REDACTED = '[secret]';

/** A value that never shows itself in logs, JSON or error texts; `reveal()` marks each place of use. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
