import { decodeBase64 } from './base64.ts';
import { Defect } from './findings.ts';
import { Sha256 } from './sha256.ts';

/** A C2SP signed-note verifier key of type 0x01, Ed25519. */
export interface Vkey {
  readonly name: string;
  /** Key id as 8 lower-case hex digits. */
  readonly id: string;
  /** 32 bytes, RFC 8032 section 5.1.5. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

const ED25519 = 0x01;
const KEY_BYTES = 32;

/**
 * Reads `<name>+<8 hex digits>+<base64 of type and key>`.
 * @throws Defect exit 2 when it is malformed, its id does not fit, or it is not an Ed25519 key.
 */
export function parseVkey(text: string): Vkey {
  // The base64 part may itself hold "+", so only the first two separate.
  const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name))
    throw unusable('expected <name>+<key id>+<base64 key>');
  const bytes = decodeBase64(encoded);
  if (bytes?.length !== KEY_BYTES + 1)
    throw unusable('expected base64 of 33 bytes, a type and an Ed25519 key');
  if (bytes[0] !== ED25519) throw unusable('expected type 0x01, Ed25519');
  const publicKey = bytes.slice(1);
  const expected = keyId(name, publicKey);
  if (id.toLowerCase() !== expected) throw unusable(`its key id does not fit: expected ${expected}`);
  return { name, id: expected, publicKey };
}

/** C2SP signed-note: the first four bytes of SHA-256(name, newline, type, key), as hex. */
export function keyId(name: string, publicKey: Uint8Array): string {
  return hex(
    new Sha256()
      .update(new TextEncoder().encode(`${name}\n`))
      .update(Uint8Array.of(ED25519))
      .update(publicKey)
      .digest()
      .subarray(0, 4),
  );
}

/** C2SP signed-note: not empty, no Unicode space, no plus. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\p{White_Space}+]/u.test(name);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unusable(why: string): Defect {
  return new Defect(2, `malformed key: ${why}`);
}
