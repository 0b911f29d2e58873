import { sign } from 'node:crypto';
import { Fault } from '../core/fault.ts';
import type { NoteSigner } from '../ledger/note.ts';
import { trustKey } from '../ledger/verify/ed25519.ts';
import { Defect } from '../ledger/verify/findings.ts';
import { parseNote, type Note, type NoteSignature } from '../ledger/verify/note.ts';
import { parseVkey, type Vkey } from '../ledger/verify/vkey.ts';
import { encodeBundle, MAX_BUNDLE_BYTES, parseBundle } from '../policy/bundle.ts';
import type { Bundle, Signers } from '../policy/types.ts';

/** A bundle and the lines that signed it: a C2SP signed note whose text is the bundle's one line. */
export interface SignedBundle {
  readonly bundle: Bundle;
  readonly note: Note;
}

/** A hundred signature lines, each with the longest name, are less. */
const SIGNATURES_BYTES = 64 * 1024;
/** The largest file that is read. */
export const MAX_SIGNED_BYTES: number = MAX_BUNDLE_BYTES + SIGNATURES_BYTES;

const KEY_ID_BYTES = 4;

/**
 * Reads a signed bundle; its signatures are not judged here.
 * @throws Fault `policy.too_large`, `policy.unsigned`, `policy.note`, and those of `parseBundle`.
 */
export function parseSigned(text: string): SignedBundle {
  if (Buffer.byteLength(text) > MAX_SIGNED_BYTES)
    throw new Fault('invalid', 'policy.too_large', `expected at most ${MAX_SIGNED_BYTES} bytes`);
  if (text.startsWith('{') && text.indexOf('\n') === text.length - 1)
    throw denied('policy.unsigned', 'nobody has signed this bundle; sekisho policy sign adds a signature');
  const note = noteOf(text);
  return { bundle: parseBundle(Buffer.from(note.text.slice(0, -1))), note };
}

/** The bundle without a signature, as `policy build` writes it. */
export function unsignedText(bundle: Bundle): string {
  return `${encodeBundle(bundle).toString('utf8')}\n`;
}

/**
 * A bundle from a file, signed or not yet.
 * @throws Fault of `parseSigned`.
 */
export function parseAny(text: string): SignedBundle {
  if (text.includes('\n\n')) return parseSigned(text);
  if (!text.endsWith('\n')) throw new Fault('invalid', 'policy.note', 'expected a final newline');
  return { bundle: parseBundle(Buffer.from(text.slice(0, -1))), note: { text, signatures: [] } };
}

/**
 * The file with one more signature line.
 * @throws Fault `policy.already_signed`, and those of `parseAny`: what does not hold together is not signed.
 */
export function addSignature(text: string, { vkey, secret }: NoteSigner): string {
  const { note } = parseAny(text);
  if (note.signatures.some(({ name, id }) => name === vkey.name && id === vkey.id))
    throw new Fault('conflict', 'policy.already_signed', `${vkey.name} has signed this bundle already`);
  const signature = Buffer.concat([
    Buffer.alloc(KEY_ID_BYTES, vkey.id, 'hex'),
    sign(null, Buffer.from(note.text), secret),
  ]);
  const separator = note.signatures.length === 0 ? '\n' : '';
  return `${text}${separator}\u2014 ${vkey.name} ${signature.toString('base64')}\n`;
}

/**
 * Which keys of the set signed, each once; `name+id`.
 * @throws Fault `policy.signature` when a line of one of these keys does not verify.
 */
export async function signersOf(note: Note, set: readonly string[]): Promise<readonly string[]> {
  const keys = set.map((text) => parseVkey(text));
  const signers = new Set<string>();
  for (const line of note.signatures)
    for (const key of keys.filter((vkey) => isBy(line, vkey))) {
      if (!(await verifies(line, key, note.text)))
        throw new Fault(
          'denied',
          'policy.signature',
          `the signature of ${key.name} does not fit this bundle`,
        );
      signers.add(`${key.name}+${key.id}`);
    }
  return [...signers].sort();
}

/**
 * The signers' ids when they reach the threshold of the running bundle, or the one that an emergency stop needs.
 * @throws Fault `policy.signer_outside`, `policy.signed_twice`, `policy.under_signed`, each for what
 * is in the way, and `policy.signature`.
 */
export async function sufficientSigners(
  note: Note,
  { keys, threshold }: Signers,
): Promise<readonly string[]> {
  const signers = await signersOf(note, keys);
  if (signers.length >= threshold) return signers;
  const needed = `${threshold} of the running bundle's ${keys.length} signers must sign, ${signers.length} did`;
  const known = keys.map((key) => parseVkey(key));
  const outside = note.signatures.find((line) => !known.some((vkey) => isBy(line, vkey)));
  if (outside !== undefined)
    throw denied('policy.signer_outside', `${needed}; ${outside.name} is not one of these signers' keys`);
  if (note.signatures.length > signers.length)
    throw denied('policy.signed_twice', `${needed}; a signature counts once however often it is there`);
  throw denied('policy.under_signed', needed);
}

/**
 * Holds the keys of a new bundle to what its successor will need of them.
 * @throws Fault `policy.signer_key`, `policy.signer_repeated`.
 */
export function checkSignerKeys({ keys }: Signers): void {
  const seen = new Set<string>();
  for (const text of keys) {
    const key = Buffer.from(readKey(text).publicKey).toString('hex');
    // Two names for one key would let one person be counted as two.
    if (seen.has(key))
      throw new Fault('invalid', 'policy.signer_repeated', 'two of the signers are the same key');
    seen.add(key);
  }
}

function readKey(text: string): Vkey {
  try {
    return parseVkey(text);
  } catch (cause) {
    const why = cause instanceof Defect ? cause.message : 'malformed key';
    throw new Fault('invalid', 'policy.signer_key', `site.signers: ${why}`, { cause });
  }
}

function noteOf(text: string): Note {
  try {
    return parseNote(text);
  } catch (cause) {
    const why = cause instanceof Defect ? cause.message.replace(/^checkpoint: /, '') : 'unreadable';
    throw new Fault('invalid', 'policy.note', `expected a signed bundle: ${why}`, { cause });
  }
}

function isBy(line: NoteSignature, vkey: Vkey): boolean {
  return line.name === vkey.name && line.id === vkey.id;
}

async function verifies(line: NoteSignature, key: Vkey, text: string): Promise<boolean> {
  const trusted = await trustKey(key);
  return trusted.verify(Uint8Array.from(line.bytes), new TextEncoder().encode(text));
}

function denied(code: string, message: string): Fault {
  return new Fault('denied', code, message);
}
