import { createPrivateKey, createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';

import { Fault } from '../core/fault.ts';
import { EMPTY_ROOT, HASH_BYTES, type TreeHash } from './tree.ts';

/** The key of a log in the words of C2SP signed-note; `name` is the log's origin. */
export interface NoteVerifier {
  readonly name: string;
  readonly id: Buffer;
  readonly key: KeyObject;
  readonly raw: Buffer;
}

export interface NoteSigner extends NoteVerifier {
  readonly secret: KeyObject;
}

/** C2SP tlog-checkpoint, without extension lines. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: TreeHash;
}

const ED25519 = 1;
const SEED_BYTES = 32;
const SIGNATURE_BYTES = 64;
const PRIVATE_PREFIX = 'PRIVATE+KEY+';
// RFC 8410: the fixed beginnings of an Ed25519 key in DER.
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The signer of this name with this 32-byte seed. */
export function signerFromSeed(name: string, seed: Buffer): NoteSigner {
  const secret = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const key = createPublicKey(secret);
  const raw = key.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
  return { name, id: keyId(name, raw), key, raw, secret };
}

/** `PRIVATE+KEY+<name>+<hex id>+<base64 type and seed>`, the private form of Go's note package. */
export function formatSigner(signer: NoteSigner, seed: Buffer): string {
  return `${PRIVATE_PREFIX}${formatKey(signer, seed)}`;
}

/** @throws Fault `ledger.bad_key`. */
export function parseSigner(text: string): { signer: NoteSigner; seed: Buffer } {
  if (!text.startsWith(PRIVATE_PREFIX)) throw badKey('a private key begins with PRIVATE+KEY+');
  const { name, id, bytes } = splitKey(text.slice(PRIVATE_PREFIX.length));
  const signer = signerFromSeed(name, bytes);
  if (signer.id.toString('hex') !== id) throw badKey('the key id is not that of the key');
  return { signer, seed: bytes };
}

/** `<name>+<hex id>+<base64 type and key>`. */
export function formatVerifier(verifier: NoteVerifier): string {
  return formatKey(verifier, verifier.raw);
}

/** @throws Fault `ledger.bad_key`. */
export function parseVerifier(text: string): NoteVerifier {
  const { name, id, bytes } = splitKey(text);
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' });
  const expected = keyId(name, bytes);
  if (expected.toString('hex') !== id) throw badKey('the key id is not that of the key');
  return { name, id: expected, key, raw: bytes };
}

/** The signed note over a checkpoint. */
export function signCheckpoint(signer: NoteSigner, size: number, root: TreeHash): string {
  const text = `${signer.name}\n${size}\n${Buffer.from(root, 'latin1').toString('base64')}\n`;
  const signature = Buffer.concat([signer.id, sign(null, Buffer.from(text), signer.secret)]);
  return `${text}\n\u2014 ${signer.name} ${signature.toString('base64')}\n`;
}

/** The checkpoint of a note that this key signed, or null when the note is anything else. */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint | null {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) return null;
  const text = note.slice(0, end + 1);
  if (!isSigned(text, note.slice(end + 2), verifier)) return null;
  return parseCheckpoint(text, verifier.name);
}

// Every line of this key must verify; lines of other keys are ignored (C2SP signed-note).
function isSigned(text: string, lines: string, verifier: NoteVerifier): boolean {
  let signed = false;
  for (const line of lines.slice(0, -1).split('\n')) {
    const [dash, name, base64, ...rest] = line.split(' ');
    if (dash !== '\u2014' || name === undefined || base64 === undefined || rest.length > 0) return false;
    const bytes = Buffer.from(base64, 'base64');
    if (name !== verifier.name || !bytes.subarray(0, verifier.id.length).equals(verifier.id)) continue;
    const signature = bytes.subarray(verifier.id.length);
    if (signature.length !== SIGNATURE_BYTES) return false;
    if (!verify(null, Buffer.from(text), verifier.key, signature)) return false;
    signed = true;
  }
  return signed;
}

function parseCheckpoint(text: string, name: string): Checkpoint | null {
  const [origin, decimal, base64] = text.split('\n');
  if (origin !== name || decimal === undefined || base64 === undefined) return null;
  const size = Number(decimal);
  const root = Buffer.from(base64, 'base64');
  if (!/^(0|[1-9]\d*)$/.test(decimal) || !Number.isSafeInteger(size)) return null;
  if (root.length !== HASH_BYTES || root.toString('base64') !== base64) return null;
  if (size === 0 && root.toString('latin1') !== EMPTY_ROOT) return null;
  return { origin, size, root: root.toString('latin1') };
}

function keyId(name: string, raw: Buffer): Buffer {
  const input = Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), raw]);
  return hash('sha256', input, 'buffer').subarray(0, 4);
}

function formatKey(verifier: NoteVerifier, bytes: Buffer): string {
  const typed = Buffer.concat([Buffer.from([ED25519]), bytes]);
  return `${verifier.name}+${verifier.id.toString('hex')}+${typed.toString('base64')}`;
}

// The base64 part may hold "+" too: only the first two separate.
function splitKey(text: string): { name: string; id: string; bytes: Buffer } {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim());
  const [, name, id, base64] = match ?? [];
  if (name === undefined || id === undefined || base64 === undefined)
    throw badKey('expected <name>+<hex id>+<base64 key>');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes[0] !== ED25519 || bytes.length !== 1 + SEED_BYTES || bytes.toString('base64') !== base64)
    throw badKey('expected a 32-byte Ed25519 key');
  return { name, id, bytes: bytes.subarray(1) };
}

function badKey(message: string): Fault {
  return new Fault('invalid', 'ledger.bad_key', `not a signed-note key: ${message}`);
}
