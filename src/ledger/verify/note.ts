import { decodeBase64 } from './base64.ts';
import type { TrustedKey } from './ed25519.ts';
import { Defect } from './findings.ts';
import type { Vkey } from './vkey.ts';
import { hex, isKeyName } from './vkey.ts';

/** A C2SP signed note; `text` is what is signed, its final newline included. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** Key id as 8 lower-case hex digits. */
  readonly id: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

// At least 16 must be accepted; the bound keeps a hostile note from buying thousands of Ed25519 checks.
const MAX_SIGNATURES = 100;
const KEY_ID_BYTES = 4;
const SIGNATURE_LINE = /^\u2014 (\S+) (\S+)$/u;

/** @throws Defect exit 1 when the note does not have the form of C2SP signed-note. */
export function parseNote(note: string): Note {
  if (!note.isWellFormed()) throw malformed('expected well-formed text');
  // oxlint-disable-next-line eslint/no-control-regex -- C2SP signed-note forbids exactly these
  if (/[\u0000-\u0009\u000b-\u001f]/.test(note)) throw malformed('it holds a control character');
  if (!note.endsWith('\n')) throw malformed('expected a final newline');
  const split = note.lastIndexOf('\n\n');
  if (split < 1) throw malformed('expected a text, a blank line and signatures');
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw malformed(`more than ${MAX_SIGNATURES} signature lines`);
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/**
 * The keys that signed the note. A line of an unknown key says nothing.
 * @throws Defect exit 1 when a line of a known key does not verify, or none of the keys signed.
 */
export async function noteSigners(note: Note, keys: readonly TrustedKey[]): Promise<readonly Vkey[]> {
  const message = new TextEncoder().encode(note.text);
  const signers: Vkey[] = [];
  for (const { name, id, bytes } of note.signatures) {
    // A key id is short, so several keys may share it; each that does is known and must have signed.
    for (const key of keys.filter(({ vkey }) => vkey.name === name && vkey.id === id)) {
      if (!(await key.verify(bytes, message)))
        throw new Defect(1, `checkpoint: the signature of ${name}+${id} does not verify`);
      signers.push(key.vkey);
    }
  }
  if (signers.length === 0) throw new Defect(1, 'checkpoint: not signed by a given key');
  return signers;
}

function parseSignatureLine(line: string): NoteSignature {
  const [, name, encoded] = SIGNATURE_LINE.exec(line) ?? [];
  if (name === undefined || encoded === undefined || !isKeyName(name))
    throw malformed('expected signature lines only after the last blank line');
  const bytes = decodeBase64(encoded);
  if (bytes === null || bytes.length <= KEY_ID_BYTES)
    throw malformed('expected base64 of a key id and a signature');
  return { name, id: hex(bytes.subarray(0, KEY_ID_BYTES)), bytes: bytes.slice(KEY_ID_BYTES) };
}

function malformed(why: string): Defect {
  return new Defect(1, `checkpoint: not a signed note: ${why}`);
}
