import { decodeBase64 } from './base64.ts';
import type { TrustedKey } from './ed25519.ts';
import { trustKey } from './ed25519.ts';
import { Defect } from './findings.ts';
import type { Note } from './note.ts';
import { noteSigners, parseNote } from './note.ts';
import type { Vkey } from './vkey.ts';

/** A C2SP tlog-checkpoint: `size` leaves under `root` (32 bytes). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Uint8Array<ArrayBuffer>;
}

const ROOT_BYTES = 32;
const MAX_SIZE = 2n ** 64n - 1n;

/**
 * The tree head that a signed note states, once one of `keys` with the origin's name has signed it.
 * @throws Defect exit 1 when it is malformed, not signed by them, or a line of one of them does not verify.
 */
export async function verifyCheckpoint(note: string, keys: readonly Vkey[]): Promise<Checkpoint> {
  const parsed = parseNote(note);
  const checkpoint = parseCheckpoint(parsed.text);
  await checkpointSigner(parsed, checkpoint, await Promise.all(keys.map(trustKey)));
  return checkpoint;
}

/**
 * Reads the text of a checkpoint's note; extension lines are ignored.
 * @throws Defect exit 1 when it does not have the form of C2SP tlog-checkpoint.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, ...extensions] = text.slice(0, -1).split('\n');
  if (origin === undefined || origin === '') throw malformed('expected an origin');
  if (size === undefined || !/^(?:0|[1-9][0-9]{0,19})$/.test(size) || BigInt(size) > MAX_SIZE)
    throw malformed('expected the tree size as a decimal number');
  const hash = decodeBase64(root ?? '');
  if (hash?.length !== ROOT_BYTES) throw malformed('expected the root as base64 of 32 bytes');
  if (extensions.includes('')) throw malformed('expected no blank line in its text');
  return { origin, size: BigInt(size), root: hash };
}

/** The key that signed in the origin's name. @throws Defect exit 1 when there is none, as in `noteSigners`. */
export async function checkpointSigner(
  note: Note,
  checkpoint: Checkpoint,
  keys: readonly TrustedKey[],
): Promise<Vkey> {
  const signers = await noteSigners(note, keys);
  const signer = signers.find((key) => key.name === checkpoint.origin);
  if (signer === undefined)
    throw new Defect(1, 'checkpoint: its origin is not the name of the key that signed it');
  return signer;
}

function malformed(why: string): Defect {
  return new Defect(1, `checkpoint: ${why}`);
}
