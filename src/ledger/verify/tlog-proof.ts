import { decodeBase64 } from './base64.ts';
import type { Checkpoint } from './checkpoint.ts';
import { verifyCheckpoint } from './checkpoint.ts';
import { Defect } from './findings.ts';
import { verifyInclusion } from './proof.ts';
import { decodeUtf8 } from './strict-json.ts';
import type { Hash } from './tree.ts';
import { hashLeaf } from './tree.ts';
import { parseVkey } from './vkey.ts';

/** What a C2SP tlog-proof shows once it was verified; `extra` is nobody's word. */
export interface ProvenEntry {
  readonly checkpoint: Checkpoint;
  readonly index: bigint;
  readonly extra: Uint8Array<ArrayBuffer> | null;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
// The longest entry in base64, the longest path and a checkpoint with many signatures fit into it.
const MAX_BYTES = 256 * 1024;
const HASH_BYTES = 32;
const MAX_INDEX = 2n ** 64n - 1n;
/** RFC 9162: a tree of fewer than 2^64 leaves has no longer path. */
const MAX_PATH = 64;

/**
 * Verifies that an entry stands in a log of one of `vkeys`, with a C2SP tlog-proof of it and nothing else.
 * @throws Defect exit 1 when the proof is malformed, is not signed by them or is one of another entry; exit 2 when it is
 * longer than 256 KiB or a key is malformed.
 */
export async function verifyTlogProof(
  proof: Uint8Array,
  entry: Uint8Array,
  vkeys: readonly string[],
): Promise<ProvenEntry> {
  const keys = vkeys.map(parseVkey);
  if (proof.length > MAX_BYTES) throw new Defect(2, 'proof: larger than 256 KiB');
  const text = decodeUtf8(proof);
  if (text === null) throw malformed('expected UTF-8');
  // The first blank line ends the proof; those of the checkpoint come after it.
  const end = text.indexOf('\n\n');
  if (end < 0) throw malformed('expected a blank line and a checkpoint');
  const { index, extra, path } = readLines(text.slice(0, end).split('\n'));
  const checkpoint = await verifyCheckpoint(text.slice(end + 2), keys);
  const { size, root } = checkpoint;
  if (index >= size) throw malformed(`index ${index} lies beyond the ${size} entries of the checkpoint`);
  if (!verifyInclusion({ leafHash: hashLeaf(entry), index, size, root, path }))
    throw malformed(`the entry is not at index ${index} under the checkpoint`);
  return { checkpoint, index, extra };
}

function readLines(lines: readonly string[]): Pick<ProvenEntry, 'index' | 'extra'> & { path: Hash[] } {
  const [header, ...rest] = lines;
  if (header !== HEADER) throw malformed(`expected the first line ${HEADER}`);
  const hasExtra = rest[0]?.startsWith('extra ') === true;
  const extra = hasExtra ? decodeBase64(rest[0]?.slice('extra '.length) ?? '') : null;
  if (hasExtra && extra === null) throw malformed('expected base64 after "extra"');
  const [indexLine = '', ...hashes] = hasExtra ? rest.slice(1) : rest;
  const [, digits] = /^index (0|[1-9]\d{0,19})$/.exec(indexLine) ?? [];
  if (digits === undefined || BigInt(digits) > MAX_INDEX)
    throw malformed('expected "index" and a decimal number');
  if (hashes.length > MAX_PATH) throw malformed(`more than ${MAX_PATH} hashes`);
  return { index: BigInt(digits), extra, path: hashes.map(readHash) };
}

function readHash(line: string): Hash {
  const hash = decodeBase64(line);
  if (hash?.length !== HASH_BYTES) throw malformed('expected each hash as base64 of 32 bytes');
  return hash;
}

function malformed(why: string): Defect {
  return new Defect(1, `proof: ${why}`);
}
