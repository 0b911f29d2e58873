import type { Findings } from './findings.ts';
import { Members, base64Of, integerOf } from './members.ts';
import type { ProvenLeaf } from './receipt.ts';
import { isJsonObject, readJson } from './strict-json.ts';

/** A decision leaf, as far as it is judged. What was faulty, and is noted, is undefined. */
export interface ShownDecision {
  readonly where: string;
  readonly index: number | undefined;
  readonly rid: string | undefined;
  readonly attempt: number | undefined;
  readonly prev: number | null | undefined;
  readonly log: string | undefined;
  readonly effect: 'allow' | 'deny' | undefined;
  readonly in: Uint8Array<ArrayBuffer> | undefined;
  readonly members: Members;
}

/** An outcome leaf, as far as it is judged; `attempts` is null when absent. */
export interface ShownOutcome {
  readonly where: string;
  readonly index: number | undefined;
  readonly rid: string | undefined;
  readonly attempt: number | undefined;
  readonly of: number | undefined;
  readonly attempts: number | null | undefined;
  readonly status: string | undefined;
  readonly res: Uint8Array<ArrayBuffer> | null | undefined;
  readonly members: Members;
}

const MAX_ENTRY_BYTES = 65_535;
const COMMITMENT_BYTES = 32;

export function readDecision(proven: ProvenLeaf, findings: Findings): ShownDecision | undefined {
  const leaf = openLeaf(proven, 'decision', findings);
  if (leaf === undefined) return undefined;
  const effect = readEffect(leaf, findings);
  checkDestination(leaf, effect, findings);
  const commitments = readCommitments(leaf, ['req', 'caller', 'tenant'], findings);
  return {
    where: proven.where,
    index: proven.index,
    rid: leaf.text('rid'),
    attempt: leaf.integer('attempt'),
    prev: leaf.integerOrNull('prev'),
    log: leaf.text('log'),
    effect,
    in: commitments?.base64('in', COMMITMENT_BYTES),
    members: leaf,
  };
}

export function readOutcome(proven: ProvenLeaf, findings: Findings): ShownOutcome | undefined {
  const leaf = openLeaf(proven, 'outcome', findings);
  if (leaf === undefined) return undefined;
  const commitments = readCommitments(leaf, ['peer'], findings);
  return {
    where: proven.where,
    index: proven.index,
    rid: leaf.text('rid'),
    attempt: leaf.integer('attempt'),
    of: leaf.integer('of'),
    attempts: leaf.has('attempts') ? leaf.integer('attempts') : null,
    status: leaf.text('status'),
    res: (commitments?.raw('res') ?? null) === null ? null : commitments?.base64('res', COMMITMENT_BYTES),
    members: leaf,
  };
}

function openLeaf(proven: ProvenLeaf, kind: string, findings: Findings): Members | undefined {
  const { where, entry } = proven;
  if (entry === undefined) return undefined;
  const invalid = (why: string): undefined => {
    findings.invalid.push(`${where}: ${why}`);
  };
  if (entry.length > MAX_ENTRY_BYTES) return invalid(`a leaf has at most ${MAX_ENTRY_BYTES} bytes`);
  const reading = readJson(entry);
  if (!reading.ok) {
    (reading.tooDeep ? findings.unusable : findings.invalid).push(`${where}: leaf ${reading.message}`);
    return undefined;
  }
  if (!isJsonObject(reading.value)) return invalid('a leaf is a JSON object');
  // Two values under one name have no one meaning, so nothing else in the leaf is judged.
  if (reading.duplicate !== null) return invalid(`duplicate member ${JSON.stringify(reading.duplicate)}`);
  if (integerOf(reading.value.get('v')) !== 1) {
    findings.unusable.push(`${where}: expected a leaf of "v":1`);
    return undefined;
  }
  if (reading.value.get('kind') !== kind) return invalid(`expected a leaf of kind ${kind}`);
  return new Members(reading.value, where, findings);
}

function readEffect(leaf: Members, findings: Findings): 'allow' | 'deny' | undefined {
  const effect = leaf.raw('effect');
  if (effect === 'allow' || effect === 'deny') return effect;
  findings.invalid.push(`${leaf.where}.effect: expected allow or deny`);
  return undefined;
}

// `to` is always written, and null exactly when denied.
function checkDestination(leaf: Members, effect: 'allow' | 'deny' | undefined, findings: Findings): void {
  const to = leaf.objectOrNull('to');
  if (to === undefined || effect === undefined) return;
  if (effect === 'allow' && to === null)
    findings.invalid.push(`${leaf.where}: allowed without a destination`);
  if (effect === 'deny' && to !== null) findings.invalid.push(`${leaf.where}: denied with a destination`);
}

// Nothing is compared with the commitments named here, but one that is written is a whole HMAC in base64.
function readCommitments(
  leaf: Members,
  unopened: readonly string[],
  findings: Findings,
): Members | undefined {
  const commitments = leaf.object('c');
  for (const name of commitments === undefined ? [] : unopened) {
    const value = commitments?.raw(name) ?? null;
    if (value !== null && base64Of(value, COMMITMENT_BYTES) === null)
      findings.invalid.push(`${leaf.where}.c.${name}: expected base64 of ${COMMITMENT_BYTES} bytes`);
  }
  return commitments;
}
