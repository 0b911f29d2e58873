import { toFault } from '../core/fault.ts';
import type { Log } from '../core/log.ts';

/** Why leaves cannot be appended: the clock aside, a sentence from each part that refuses. */
export class Troubles {
  readonly #log: Log;
  readonly #reasons = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Null when the part works (again). Anybody may read the reason; the log alone gets the words of the cause. */
  set(part: string, reason: string | null, cause?: unknown): void {
    const before = this.#reasons.get(part) ?? null;
    if (reason === null) this.#reasons.delete(part);
    else this.#reasons.set(part, reason);
    if (before === null && reason !== null) {
      const why = cause === undefined ? {} : { cause: toFault(cause).message };
      this.#log.error('ledger.trouble', { part, reason, ...why });
    }
    if (before !== null && reason === null) this.#log.info('ledger.trouble_over', { part });
  }

  /** A refusal that does not keep leaves from being appended. */
  note(part: string, reason: string): void {
    this.#log.warn('ledger.delayed', { part, reason });
  }

  first(): string | null {
    for (const reason of this.#reasons.values()) return reason;
    return null;
  }
}
