import { hash } from 'node:crypto';

import { Secret } from '../core/secret.ts';
import { crockford, type Random } from '../core/world.ts';

const KEY_BYTES = 32;
const ISSUED = /^sek_[0-9a-hjkmnp-tv-z]{52}$/;

/** `sek_` and 256 random bits as 52 characters of Crockford base32. */
export function drawKey(random: Random): Secret {
  return new Secret(`sek_${crockford(random.bytes(KEY_BYTES))}`);
}

export function isIssuedKey(text: string): boolean {
  return ISSUED.test(text);
}

/**
 * SHA-256 in hex, what is stored of a key. Slow hashing guards weak passwords; 256 random bits need none. Looking the
 * hash up tells an attacker nothing by its time, for who can choose a hash cannot choose its key.
 */
export function keyHash(key: string): string {
  return hash('sha256', key, 'hex');
}
