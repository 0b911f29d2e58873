import { Defect } from './findings.ts';
import type { Vkey } from './vkey.ts';

/** A key that is ready to check signatures. */
export interface TrustedKey {
  readonly vkey: Vkey;
  verify(signature: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>): Promise<boolean>;
}

const SIGNATURE_BYTES = 64;
const SCALAR_OFFSET = 32;
// RFC 8032 section 5.1: L = 2^252 + 27742317777372353535851937790883648493, here as little-endian bytes.
const GROUP_ORDER = [
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/** @throws Defect exit 2 where the runtime offers no Ed25519, since nothing can then be said of a signature. */
export async function trustKey(vkey: Vkey): Promise<TrustedKey> {
  try {
    const key = await crypto.subtle.importKey('raw', vkey.publicKey, 'Ed25519', false, ['verify']);
    return {
      vkey,
      verify: async (signature, message) =>
        signature.length === SIGNATURE_BYTES &&
        hasReducedScalar(signature) &&
        crypto.subtle.verify('Ed25519', key, signature, message),
    };
  } catch (cause) {
    throw new Defect(2, `cannot check Ed25519 signatures here: ${String(cause)}`);
  }
}

/**
 * False for a signature whose S is not below the group order (RFC 8032 section 5.1.7): S + L would sign the same text
 * with other bytes. Not every WebCrypto is known to refuse it.
 */
export function hasReducedScalar(signature: Uint8Array): boolean {
  for (let i = GROUP_ORDER.length - 1; i >= 0; i--) {
    const digit = signature[SCALAR_OFFSET + i] ?? 0;
    const bound = GROUP_ORDER[i] ?? 0;
    if (digit !== bound) return digit < bound;
  }
  return false;
}
