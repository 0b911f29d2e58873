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

/** A vkey of a cosigner (C2SP tlog-cosignature): type 0x04, Ed25519, or 0x06, ML-DSA-44. */
export interface CosignerKey extends Vkey {
  readonly algorithm: 'ed25519' | 'ml-dsa-44';
}

const ED25519 = 0x01;
const ED25519_BYTES = 32;
const COSIGNERS = new Map([
  [0x04, { algorithm: 'ed25519', bytes: ED25519_BYTES }],
  [0x06, { algorithm: 'ml-dsa-44', bytes: 1312 }],
] as const);

/**
 * Reads `<name>+<8 hex digits>+<base64 of type and key>`.
 * @throws Defect exit 2 when it is malformed, its id does not fit, or it is not an Ed25519 key.
 */
export function parseVkey(text: string): Vkey {
  const { type, publicKey, ...named } = splitVkey(text);
  if (publicKey.length !== ED25519_BYTES)
    throw unusable('expected base64 of 33 bytes, a type and an Ed25519 key');
  if (type !== ED25519) throw unusable('expected type 0x01, Ed25519');
  return fitting(named, { type, publicKey });
}

/**
 * Reads the vkey of a witness.
 * @throws Defect exit 2 when it is malformed, its id does not fit, or it is of a type that does not cosign.
 */
export function parseCosignerVkey(text: string): CosignerKey {
  const { type, publicKey, ...named } = splitVkey(text);
  // The table answers undefined to every other number.
  const known = COSIGNERS.get(type as 0x04 | 0x06);
  if (known === undefined) throw unusable('expected type 0x04 or 0x06, a key that cosigns');
  if (publicKey.length !== known.bytes) throw unusable(`expected ${known.bytes} bytes after the type`);
  return { ...fitting(named, { type, publicKey }), algorithm: known.algorithm };
}

function splitVkey(text: string): Vkey & { readonly type: number } {
  // The base64 part may itself hold "+", so only the first two separate.
  const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name))
    throw unusable('expected <name>+<key id>+<base64 key>');
  // What is no base64 has no key, which the caller refuses by its length.
  const [type = NaN, ...rest] = decodeBase64(encoded) ?? [];
  return { type, name, id, publicKey: Uint8Array.from(rest) };
}

function fitting(
  { name, id }: Pick<Vkey, 'name' | 'id'>,
  { type, publicKey }: { readonly type: number } & Pick<Vkey, 'publicKey'>,
): Vkey {
  const expected = keyId(name, publicKey, type);
  if (id.toLowerCase() !== expected) throw unusable(`its key id does not fit: expected ${expected}`);
  return { name, id: expected, publicKey };
}

/** C2SP signed-note: the first four bytes of SHA-256(name, newline, type, key), as hex. */
export function keyId(name: string, publicKey: Uint8Array, type: number = ED25519): string {
  return hex(
    new Sha256()
      .update(new TextEncoder().encode(`${name}\n`))
      .update(Uint8Array.of(type))
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
