import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { hashChildren, hashLeaf, rootFromEntries } from '../../src/ledger/verify/tree.ts';
import { keyId } from '../../src/ledger/verify/vkey.ts';

/** A log in memory that really signs, so that a test can plant what no honest log would hold. */
export interface SignedLog {
  readonly origin: string;
  readonly vkey: string;
  /** Appends exact bytes, or a value as JSON; returns the index. */
  append(entry: Uint8Array | object): number;
  /** A signed note over the leaves so far, or over another text. */
  note(text?: string): string;
  /** One leaf as a receipt shows it. */
  proven(index: number): { index: number; entry: string; path: string[] };
}

const RAW_KEY_BYTES = 32;

export function signedLog(origin: string): SignedLog {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const raw = createPublicKey(pem).export({ type: 'spki', format: 'der' }).subarray(-RAW_KEY_BYTES);
  const id = keyId(origin, raw);
  const entries: Buffer[] = [];
  const root = (): string => Buffer.from(rootFromEntries(entries)).toString('base64');
  return {
    origin,
    vkey: `${origin}+${id}+${Buffer.concat([Buffer.of(1), raw]).toString('base64')}`,
    append: (entry) =>
      entries.push(entry instanceof Uint8Array ? Buffer.from(entry) : Buffer.from(JSON.stringify(entry))) - 1,
    note: (text = `${origin}\n${entries.length}\n${root()}\n`) => {
      const signature = sign(null, Buffer.from(text), createPrivateKey(pem));
      const line = Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64');
      return `${text}\n\u2014 ${origin} ${line}\n`;
    },
    proven: (index) => ({
      index,
      entry: entries[index]?.toString('base64') ?? '',
      path: inclusionPath(entries, index).map((hash) => Buffer.from(hash).toString('base64')),
    }),
  };
}

/** RFC 9162 section 2.1.3.1, as its recursive definition reads. */
export function inclusionPath(entries: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  if (entries.length <= 1) return [];
  const split = largestPowerBelow(entries.length);
  const [left, right] = [entries.slice(0, split), entries.slice(split)];
  return index < split
    ? [...inclusionPath(left, index), treeHash(right)]
    : [...inclusionPath(right, index - split), treeHash(left)];
}

/** RFC 9162 section 2.1.4.1, as its recursive definition reads. */
export function consistencyPath(entries: readonly Uint8Array[], oldSize: number): readonly Uint8Array[] {
  return oldSize === 0 || oldSize === entries.length ? [] : subProof(entries, oldSize, true);
}

/** RFC 9162 section 2.1.1, as its recursive definition reads. */
export function treeHash(entries: readonly Uint8Array[]): Uint8Array {
  const [only] = entries;
  if (entries.length === 1 && only !== undefined) return hashLeaf(only);
  const split = largestPowerBelow(entries.length);
  return hashChildren(treeHash(entries.slice(0, split)), treeHash(entries.slice(split)));
}

function subProof(entries: readonly Uint8Array[], oldSize: number, whole: boolean): readonly Uint8Array[] {
  if (oldSize === entries.length) return whole ? [] : [treeHash(entries)];
  const split = largestPowerBelow(entries.length);
  const [left, right] = [entries.slice(0, split), entries.slice(split)];
  return oldSize <= split
    ? [...subProof(left, oldSize, whole), treeHash(right)]
    : [...subProof(right, oldSize - split, false), treeHash(left)];
}

function largestPowerBelow(size: number): number {
  return 2 ** (Math.ceil(Math.log2(size)) - 1);
}
