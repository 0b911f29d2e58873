import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';

import { Fault } from '../core/fault.ts';
import type { TreeHash } from './tree.ts';
import { verifyCheckpoint } from './verify/checkpoint.ts';
import { Defect } from './verify/findings.ts';
import { decodeUtf8 } from './verify/strict-json.ts';
import { keyId, parseVkey, type Vkey } from './verify/vkey.ts';

/** The secret half of a log's key, and how it is checked; `vkey.name` is the log's origin. */
export interface NoteSigner {
  readonly vkey: Vkey;
  readonly secret: KeyObject;
}

/** What a signed checkpoint says of a log. */
export interface TreeHead {
  readonly size: number;
  readonly root: TreeHash;
}

const ED25519 = 1;
const KEY_ID_BYTES = 4;
const PRIVATE_PREFIX = 'PRIVATE+KEY+';
// RFC 8410: the fixed beginnings of an Ed25519 key in DER.
const SPKI_PREFIX_BYTES = 12;
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The signer of this name with this 32-byte seed (RFC 8032). */
export function signerFromSeed(name: string, seed: Uint8Array): NoteSigner {
  const secret = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(secret).export({ format: 'der', type: 'spki' });
  const publicKey = Uint8Array.from(spki.subarray(SPKI_PREFIX_BYTES));
  return { vkey: { name, id: keyId(name, publicKey), publicKey }, secret };
}

/** `PRIVATE+KEY+<name>+<hex id>+<base64 type and seed>`, the private form of Go's note package. */
export function formatSigner({ vkey }: NoteSigner, seed: Uint8Array): string {
  return `${PRIVATE_PREFIX}${formatKey(vkey, seed)}`;
}

/** @throws Fault `ledger.bad_key`. */
export function parseSigner(text: string): NoteSigner {
  if (!text.startsWith(PRIVATE_PREFIX)) throw badKey('a private key begins with PRIVATE+KEY+');
  const [name, id, ...rest] = text.slice(PRIVATE_PREFIX.length).trim().split('+');
  // The base64 part may itself hold "+", so only the first two separate.
  const bytes = Buffer.from(rest.join('+'), 'base64');
  if (name === undefined || name === '' || bytes.length !== 33 || bytes[0] !== ED25519)
    throw badKey('expected <name>+<key id>+<base64 of an Ed25519 seed>');
  const signer = signerFromSeed(name, bytes.subarray(1));
  if (signer.vkey.id !== id) throw badKey('its key id does not fit');
  return signer;
}

/** `<name>+<hex id>+<base64 type and key>`. */
export function formatVkey(vkey: Vkey): string {
  return formatKey(vkey, vkey.publicKey);
}

/** The signed note over a tree head. */
export function signCheckpoint({ vkey, secret }: NoteSigner, head: TreeHead): string {
  const text = `${vkey.name}\n${head.size}\n${Buffer.from(head.root, 'latin1').toString('base64')}\n`;
  const signature = Buffer.alloc(KEY_ID_BYTES, vkey.id, 'hex');
  const signed = Buffer.concat([signature, sign(null, Buffer.from(text), secret)]);
  return `${text}\n\u2014 ${vkey.name} ${signed.toString('base64')}\n`;
}

/** The tree head of a note that this key signed, or why it is none. */
export async function openCheckpoint(note: string | Uint8Array, vkey: Vkey): Promise<TreeHead | Defect> {
  const text = typeof note === 'string' ? note : decodeUtf8(note);
  if (text === null) return new Defect(1, 'checkpoint: not valid UTF-8');
  try {
    const { size, root } = await verifyCheckpoint(text, [vkey]);
    if (size > Number.MAX_SAFE_INTEGER) return new Defect(1, 'checkpoint: larger than any log can be');
    return { size: Number(size), root: Buffer.from(root).toString('latin1') };
  } catch (error) {
    if (error instanceof Defect) return error;
    throw error;
  }
}

/** @throws Defect exit 2 when it is malformed. */
export function readVkey(text: string): Vkey {
  return parseVkey(text.trim());
}

function formatKey({ name, id }: Vkey, bytes: Uint8Array): string {
  return `${name}+${id}+${Buffer.concat([Buffer.from([ED25519]), bytes]).toString('base64')}`;
}

function badKey(message: string): Fault {
  return new Fault('invalid', 'ledger.bad_key', `not a signing key: ${message}`);
}
