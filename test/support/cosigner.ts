import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { parseCheckpoint } from '../../src/ledger/verify/checkpoint.ts';
import { cosignedMessage } from '../../src/ledger/verify/cosignature.ts';
import { keyId, parseCosignerVkey, type CosignerKey } from '../../src/ledger/verify/vkey.ts';

const FORMS = {
  ed25519: { type: 0x04, bytes: 32 },
  'ml-dsa-44': { type: 0x06, bytes: 1312 },
} as const;

/** A witness in memory that cosigns whatever it is shown. */
export interface Cosigner {
  readonly vkey: string;
  readonly key: CosignerKey;
  readonly privateKey: KeyObject;
  /** The signature line over a signed note, its newline included. `time` in seconds since 1970. */
  line(note: string, time?: bigint): string;
}

export function cosigner(name: string, algorithm: CosignerKey['algorithm'] = 'ed25519'): Cosigner {
  const { publicKey, privateKey } =
    algorithm === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ml-dsa-44');
  const { type, bytes } = FORMS[algorithm];
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-bytes);
  const id = keyId(name, raw, type);
  const vkey = `${name}+${id}+${Buffer.concat([Buffer.of(type), raw]).toString('base64')}`;
  return {
    vkey,
    key: parseCosignerVkey(vkey),
    privateKey,
    line(note, time = 1_800_000_000n) {
      const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
      const signed = { note: { text }, checkpoint: parseCheckpoint(text) };
      const message = cosignedMessage({ name, algorithm }, time, signed);
      const stamp = Buffer.alloc(8);
      stamp.writeBigUInt64BE(time);
      const signature = sign(null, message, privateKey);
      return signatureLine(name, Buffer.concat([Buffer.from(id, 'hex'), stamp, signature]));
    },
  };
}

/** C2SP signed-note: a signature line of these bytes, the key id in front. */
export function signatureLine(name: string, bytes: Uint8Array): string {
  return `\u2014 ${name} ${Buffer.from(bytes).toString('base64')}\n`;
}
