import type { Checkpoint } from './checkpoint.ts';
import { hasReducedScalar } from './ed25519.ts';
import { Defect } from './findings.ts';
import type { Note } from './note.ts';
import type { Policy, Quorum } from './policy.ts';
import type { CosignerKey } from './vkey.ts';

/** Who cosigned a checkpoint, and when by their own clocks. */
export interface Cosigned {
  readonly key: CosignerKey;
  /** Seconds since 1970. */
  readonly time: bigint;
}

const TIME_BYTES = 8;
const SIGNATURE_BYTES = { ed25519: 64, 'ml-dsa-44': 2420 } as const;
const WEB_CRYPTO = {
  ed25519: { format: 'raw', name: 'Ed25519' },
  'ml-dsa-44': { format: 'raw-public', name: 'ML-DSA-44' },
} as const;
const MAX_TIME = 2n ** 63n - 1n;

/**
 * The witnesses, of those given, that cosigned the checkpoint of this note (C2SP tlog-cosignature), and why lines of
 * others could not be checked by this runtime, which then count for nothing.
 * @throws Defect exit 1 when a line of one of them does not verify.
 */
export async function cosigners(
  note: Note,
  checkpoint: Checkpoint,
  witnesses: readonly CosignerKey[],
): Promise<{ readonly cosigned: readonly Cosigned[]; readonly unchecked: readonly string[] }> {
  const cosigned: Cosigned[] = [];
  const unchecked: string[] = [];
  for (const { name, id, bytes } of note.signatures) {
    for (const key of witnesses.filter((one) => one.name === name && one.id === id)) {
      try {
        const time = await verifiedTime(key, bytes, { note, checkpoint });
        if (time === null)
          throw new Defect(1, `checkpoint: the cosignature of ${name}+${id} does not verify`);
        cosigned.push({ key, time });
      } catch (thrown) {
        if (!(thrown instanceof Defect) || thrown.exit === 1) throw thrown;
        unchecked.push(`${name}: ${thrown.message}`);
      }
    }
  }
  return { cosigned, unchecked };
}

/**
 * The time that a valid cosignature states, null for one that does not verify. `bytes` is what follows the key id.
 * @throws Defect exit 2 where the runtime does not know the algorithm.
 */
export async function verifiedTime(
  key: CosignerKey,
  bytes: Uint8Array<ArrayBuffer>,
  signed: { readonly note: Pick<Note, 'text'>; readonly checkpoint: Checkpoint },
): Promise<bigint | null> {
  const { algorithm } = key;
  const signature = bytes.slice(TIME_BYTES);
  if (signature.length !== SIGNATURE_BYTES[algorithm]) return null;
  const time = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  if (time > MAX_TIME || (algorithm === 'ed25519' && !hasReducedScalar(signature))) return null;
  const message = cosignedMessage(key, time, signed);
  const { format, name } = WEB_CRYPTO[algorithm];
  try {
    // The types do not know the format of post-quantum keys yet.
    const form = format as 'raw';
    const trusted = await crypto.subtle.importKey(form, key.publicKey, name, false, ['verify']);
    return (await crypto.subtle.verify(name, trusted, signature, message)) ? time : null;
  } catch (cause) {
    throw new Defect(2, `cannot check ${name} signatures here: ${String(cause)}`);
  }
}

/** The bytes that a cosigner signs over a checkpoint; `time` in seconds since 1970. */
export function cosignedMessage(
  { name, algorithm }: Pick<CosignerKey, 'name' | 'algorithm'>,
  time: bigint,
  { note, checkpoint }: { readonly note: Pick<Note, 'text'>; readonly checkpoint: Checkpoint },
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder();
  if (algorithm === 'ed25519') return text.encode(`cosignature/v1\ntime ${time}\n${note.text}`);
  return joined([
    text.encode('subtree/v1\n\0'),
    prefixed(text.encode(name)),
    uint64(time),
    prefixed(text.encode(checkpoint.origin)),
    uint64(0n),
    uint64(checkpoint.size),
    checkpoint.root,
  ]);
}

/** True when the witnesses that cosigned make up the policy's quorum. */
export function meetsQuorum(quorum: Quorum, cosigned: readonly Cosigned[]): boolean {
  if (quorum.kind === 'witness') return cosigned.some(({ key }) => key === quorum.key);
  const met = quorum.members.filter((member) => meetsQuorum(member, cosigned));
  return met.length >= quorum.atLeast;
}

/**
 * @throws Defect exit 1 saying who cosigned, when the policy's quorum is not met, and as `cosigners`; exit 2 when it
 * might be by lines that this runtime cannot check.
 */
export async function requireQuorum(
  { note, checkpoint }: { readonly note: Note; readonly checkpoint: Checkpoint },
  { quorum = null, witnesses = [] }: Partial<Policy>,
): Promise<void> {
  if (quorum === null) return;
  const keys = witnesses.map(({ key }) => key);
  const { cosigned, unchecked } = await cosigners(note, checkpoint, keys);
  if (meetsQuorum(quorum, cosigned)) return;
  const names = witnesses.filter(({ key }) => cosigned.some((one) => one.key === key));
  const who = names.length === 0 ? 'nobody' : names.map(({ name }) => name).join(', ');
  const what = `checkpoint: the quorum "${quorum.name}" is not met; cosigned by ${who}`;
  throw unchecked.length === 0 ? new Defect(1, what) : new Defect(2, [what, ...unchecked].join('; '));
}

function uint64(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

// TLS presentation language (RFC 8446 section 3.4): opaque<1..2^8-1>.
function prefixed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length < 1 || bytes.length > 255)
    throw new Defect(1, 'checkpoint: a name is too long to be cosigned');
  return joined([Uint8Array.of(bytes.length), bytes]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
