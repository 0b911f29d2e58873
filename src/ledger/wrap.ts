import { createCipheriv, createDecipheriv } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const KEY_BYTES = 32;
const TAG_BYTES = 16;

/** Bytes of a wrapped 32-byte key: IV, ciphertext, tag. */
export const WRAPPED_BYTES = IV_BYTES + KEY_BYTES + TAG_BYTES;

/** `key` under `wrapping`, bound to `context`; `iv` are 12 fresh random bytes. */
export function wrapKey(
  key: Buffer,
  wrapping: Buffer,
  context: { readonly about: string; readonly iv: Buffer },
): Buffer {
  const cipher = createCipheriv(CIPHER, wrapping, context.iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(context.about));
  const sealed = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([context.iv, sealed, cipher.getAuthTag()]);
}

/** The key, or null when it was wrapped under another key or for something else. */
export function unwrapKey(wrapped: Buffer, wrapping: Buffer, about: string): Buffer | null {
  const iv = wrapped.subarray(0, IV_BYTES);
  const decipher = createDecipheriv(CIPHER, wrapping, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(about));
  decipher.setAuthTag(wrapped.subarray(IV_BYTES + KEY_BYTES, WRAPPED_BYTES));
  try {
    return Buffer.concat([
      decipher.update(wrapped.subarray(IV_BYTES, IV_BYTES + KEY_BYTES)),
      decipher.final(),
    ]);
  } catch {
    return null;
  }
}
