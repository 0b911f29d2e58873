import { randomFillSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

/** Time, identifiers and randomness, passed in so that tests can hold them. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
}

export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  /** Milliseconds that never step back; only differences mean something. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  bytes(length: number): Buffer;
  /** At least 0, below 1. Not for secrets. */
  unit(): number;
}

export interface Ids {
  /** A receipt id: `r_` and 26 characters of lower-case Crockford base32 (128 random bits). */
  receipt(): string;
  /** An id of another kind: `<prefix>_` and 26 characters. */
  next(prefix: string): string;
}

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';
const BITS_A_CHARACTER = 5;
const ID_BYTES = 16;
const POOL_BYTES = 4096;

export function systemWorld(): World {
  const random = pooledRandom();
  return {
    clock: {
      now: () => Date.now(),
      elapsed: () => performance.now(),
      sleep: async (ms, signal) => {
        await delay(ms, undefined, signal === undefined ? {} : { signal });
      },
    },
    random,
    ids: randomIds(random),
  };
}

/** Ids drawn from `random`. */
export function randomIds(random: Random): Ids {
  const next = (prefix: string): string => `${prefix}_${crockford(random.bytes(ID_BYTES))}`;
  return { receipt: () => next('r'), next };
}

/** All bits as lower-case Crockford base32, 128 of them in 26 characters; the spare bits lead and are zero. */
export function crockford(bytes: Buffer): string {
  const characters = Math.ceil((bytes.length * 8) / BITS_A_CHARACTER);
  let text = '';
  let waiting = 0;
  let bits = characters * BITS_A_CHARACTER - bytes.length * 8;
  for (const byte of bytes) {
    waiting = (waiting << 8) | byte;
    bits += 8;
    while (bits >= BITS_A_CHARACTER) {
      bits -= BITS_A_CHARACTER;
      text += CROCKFORD.charAt((waiting >> bits) & 31);
    }
    waiting &= (1 << bits) - 1;
  }
  return text;
}

// One system call draws many requests' randomness; a used part is wiped so that it cannot be drawn twice or read later.
function pooledRandom(): Random {
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  return {
    bytes(length) {
      if (length > POOL_BYTES) return randomFillSync(Buffer.alloc(length));
      if (used + length > POOL_BYTES) {
        randomFillSync(pool);
        used = 0;
      }
      const drawn = Buffer.from(pool.subarray(used, used + length));
      pool.fill(0, used, used + length);
      used += length;
      return drawn;
    },
    unit: () => Math.random(),
  };
}
