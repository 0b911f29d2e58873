import type { Findings } from './findings.ts';
import { Defect } from './findings.ts';
import { base64Of, integerOf, Members } from './members.ts';
import type { JsonObject } from './strict-json.ts';
import { isJsonObject, readJson } from './strict-json.ts';

/** One leaf as a receipt shows it. What was faulty, and is noted, is undefined. */
export interface ProvenLeaf {
  readonly where: string;
  readonly index: number | undefined;
  readonly entry: Uint8Array<ArrayBuffer> | undefined;
  readonly path: readonly Uint8Array<ArrayBuffer>[] | undefined;
}

/** `outcome` is null where the receipt says that there is none yet. */
export interface ShownAttempt {
  readonly decision: ProvenLeaf | undefined;
  readonly outcome: ProvenLeaf | null | undefined;
}

/** A key that opens one commitment: null when absent, undefined when faulty. */
export type OpeningKey = Uint8Array<ArrayBuffer> | null | undefined;

export interface ShownReceipt {
  readonly id: string | undefined;
  readonly origin: string | undefined;
  readonly checkpoint: string | undefined;
  readonly attempts: readonly ShownAttempt[];
  readonly open: { readonly in: OpeningKey; readonly req: OpeningKey; readonly res: OpeningKey };
}

const MAX_RECEIPT_BYTES = 16 * 2 ** 20;
const MAX_ATTEMPTS = 1000;
const HASH_BYTES = 32;
const OPENING_KEY_BYTES = 32;
// An index below 2^64 has at most 64 siblings on its way up.
const MAX_PATH = 64;
const ID = /^r_[0-9a-hjkmnp-tv-z]{26}$/;

/**
 * Reads the receipt's own members; `level` and `state` are hints that nobody reads, unknown ones are ignored.
 * @throws Defect exit 2 when it is not one JSON object of `v` 1 within the limits, exit 1 for a duplicate member,
 * after which nothing in it has one meaning.
 */
export function readReceipt(bytes: Uint8Array, findings: Findings): ShownReceipt {
  const receipt = new Members(openReceipt(bytes), 'receipt', findings);
  return {
    id: readId(receipt, findings),
    origin: receipt.text('origin'),
    checkpoint: receipt.text('checkpoint'),
    attempts: readAttempts(receipt, findings),
    open: readOpen(receipt),
  };
}

function openReceipt(bytes: Uint8Array): JsonObject {
  if (bytes.length > MAX_RECEIPT_BYTES) throw new Defect(2, 'receipt: larger than 16 MiB');
  const reading = readJson(bytes);
  if (!reading.ok) throw new Defect(2, `receipt: ${reading.message}`);
  if (!isJsonObject(reading.value)) throw new Defect(2, 'receipt: expected one JSON object');
  if (integerOf(reading.value.get('v')) !== 1) throw new Defect(2, 'receipt: expected "v":1');
  if (reading.duplicate !== null)
    throw new Defect(1, `receipt: duplicate member ${JSON.stringify(reading.duplicate)}`);
  return reading.value;
}

function readId(receipt: Members, findings: Findings): string | undefined {
  const id = receipt.text('id');
  if (id !== undefined && !ID.test(id))
    findings.invalid.push('receipt.id: expected r_ and 26 characters of lower-case Crockford base32');
  return id;
}

function readAttempts(receipt: Members, findings: Findings): readonly ShownAttempt[] {
  const attempts = receipt.array('attempts');
  if (attempts === undefined) return [];
  if (attempts.length === 0) findings.invalid.push('receipt.attempts: expected at least one');
  if (attempts.length > MAX_ATTEMPTS) throw new Defect(2, `receipt.attempts: more than ${MAX_ATTEMPTS}`);
  return attempts.map((value, i) => {
    const where = `attempts[${i}]`;
    if (!isJsonObject(value)) {
      findings.invalid.push(`${where}: expected an object`);
      return { decision: undefined, outcome: undefined };
    }
    const attempt = new Members(value, where, findings);
    const outcome = attempt.objectOrNull('outcome');
    return {
      decision: readProven(attempt.object('decision'), findings),
      outcome: outcome === null ? null : readProven(outcome, findings),
    };
  });
}

function readProven(proven: Members | undefined, findings: Findings): ProvenLeaf | undefined {
  if (proven === undefined) return undefined;
  return {
    where: proven.where,
    index: proven.integer('index'),
    entry: proven.base64('entry'),
    path: readPath(proven, findings),
  };
}

function readPath(proven: Members, findings: Findings): readonly Uint8Array<ArrayBuffer>[] | undefined {
  const path = proven.array('path');
  if (path === undefined) return undefined;
  const hashes = path.length > MAX_PATH ? [] : path.flatMap((value) => base64Of(value, HASH_BYTES) ?? []);
  if (hashes.length === path.length) return hashes;
  findings.invalid.push(`${proven.where}.path: expected at most ${MAX_PATH} hashes, each base64 of 32 bytes`);
  return undefined;
}

function readOpen(receipt: Members): ShownReceipt['open'] {
  const absent = { in: null, req: null, res: null };
  const open = receipt.has('open') ? receipt.object('open') : null;
  if (open === null) return absent;
  if (open === undefined) return { in: undefined, req: undefined, res: undefined };
  // HMAC fills a short key with zeros, so a key of another length would open the same commitment.
  const key = (name: string): OpeningKey => (open.has(name) ? open.base64(name, OPENING_KEY_BYTES) : null);
  return { in: key('in'), req: key('req'), res: key('res') };
}
