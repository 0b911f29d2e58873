import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { Fault } from '../../core/fault.ts';
import type { Checkpoint } from '../verify/checkpoint.ts';
import { cosignedMessage } from '../verify/cosignature.ts';
import { isKeyName, keyId, parseCosignerVkey } from '../verify/vkey.ts';

/** The secret half of a witness' key. */
export interface CosignerSecret {
  readonly vkey: string;
  /** The private form of Go's note package with a type of C2SP tlog-cosignature. */
  readonly text: string;
  /** The signature line over a checkpoint, its newline included; `seconds` since 1970. */
  line(text: string, checkpoint: Checkpoint, seconds: bigint): string;
}

type Algorithm = 'ed25519' | 'ml-dsa-44';

const TYPES = { ed25519: 0x04, 'ml-dsa-44': 0x06 } as const;
const PUBLIC_BYTES = { ed25519: 32, 'ml-dsa-44': 1312 } as const;
// RFC 8410 and RFC 9881: the fixed beginnings of a private key of which the seed is stored.
const PKCS8 = {
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  'ml-dsa-44': Buffer.from('3034020100300b060960864801650304031104228020', 'hex'),
} as const;
const SEED_BYTES = 32;
const PREFIX = 'PRIVATE+KEY+';

/** A key from a seed of 32 bytes. @throws Fault `ledger.bad_key` for a name that cannot stand in a note. */
export function cosignerFromSeed(name: string, algorithm: Algorithm, seed: Uint8Array): CosignerSecret {
  if (!isKeyName(name) || Buffer.byteLength(name) > 255)
    throw badKey(`a name has no space and no "+" and at most 255 bytes, found "${name}"`);
  const secret = privateKey(algorithm, seed);
  const spki = createPublicKey(secret).export({ format: 'der', type: 'spki' });
  const raw = spki.subarray(-PUBLIC_BYTES[algorithm]);
  const type = TYPES[algorithm];
  const id = keyId(name, raw, type);
  const encoded = (bytes: Uint8Array): string =>
    `${name}+${id}+${Buffer.concat([Buffer.of(type), bytes]).toString('base64')}`;
  return {
    vkey: encoded(raw),
    text: `${PREFIX}${encoded(seed)}`,
    line(text, checkpoint, seconds) {
      const message = cosignedMessage({ name, algorithm }, seconds, { note: { text }, checkpoint });
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(seconds);
      const bytes = Buffer.concat([Buffer.from(id, 'hex'), time, sign(null, message, secret)]);
      return `\u2014 ${name} ${bytes.toString('base64')}\n`;
    },
  };
}

/** Reads a file of keys, one a line. @throws Fault `ledger.bad_key`. */
export function parseCosigners(text: string): readonly CosignerSecret[] {
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length === 0) throw badKey('the file is empty');
  return lines.map(parseCosigner);
}

function parseCosigner(line: string): CosignerSecret {
  if (!line.startsWith(PREFIX)) throw badKey('a private key begins with PRIVATE+KEY+');
  // The base64 part may itself hold "+", so only the first two separate.
  const [name = '', id, ...rest] = line.slice(PREFIX.length).trim().split('+');
  const bytes = Buffer.from(rest.join('+'), 'base64');
  const algorithm =
    bytes[0] === TYPES.ed25519 ? 'ed25519' : bytes[0] === TYPES['ml-dsa-44'] ? 'ml-dsa-44' : null;
  if (algorithm === null || bytes.length !== SEED_BYTES + 1)
    throw badKey('expected a seed of 32 bytes and type 0x04, Ed25519, or 0x06, ML-DSA-44');
  const key = cosignerFromSeed(name, algorithm, bytes.subarray(1));
  if (parseCosignerVkey(key.vkey).id !== id) throw badKey('its key id does not fit');
  return key;
}

function privateKey(algorithm: Algorithm, seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8[algorithm], seed]), format: 'der', type: 'pkcs8' });
}

function badKey(why: string): Fault {
  return new Fault('invalid', 'ledger.bad_key', `not a witness key: ${why}`);
}
