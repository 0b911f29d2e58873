// RFC 4648 section 4 with padding and zero spare bits, so that bytes have exactly one text (docs/verify.md "Encoding").

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const NOT_BASE64 = 64;
const VALUES = valueOfEachCode();

/** The bytes, or null when the text is not the one encoding of any bytes. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let written = 0;
  for (let i = 0; i < digits; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? NOT_BASE64;
    if (value === NOT_BASE64) return null;
    bits = ((bits << 6) | value) & 0xfff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[written++] = bits >>> held;
  }
  // What is left over when the bytes are full are the spare bits.
  return (bits & ((1 << held) - 1)) === 0 ? bytes : null;
}

function valueOfEachCode(): Uint8Array {
  const values = new Uint8Array(128).fill(NOT_BASE64);
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i;
  return values;
}
