import type { Checkpoint } from './checkpoint.ts';
import { checkpointSigner, parseCheckpoint } from './checkpoint.ts';
import { requireQuorum } from './cosignature.ts';
import type { TrustedKey } from './ed25519.ts';
import { trustKey } from './ed25519.ts';
import type { Summary } from './facts.ts';
import { attemptFacts } from './facts.ts';
import type { Exit } from './findings.ts';
import { Defect, Findings } from './findings.ts';
import { readDecision, readOutcome } from './leaf.ts';
import type { Note } from './note.ts';
import { parseNote } from './note.ts';
import type { Bodies } from './opening.ts';
import { checkBodies } from './opening.ts';
import type { Policy } from './policy.ts';
import { verifyInclusion } from './proof.ts';
import type { ProvenLeaf, ShownReceipt } from './receipt.ts';
import { readReceipt } from './receipt.ts';
import type { RoadAttempt, RoadState } from './road.ts';
import { checkRoad } from './road.ts';
import { hashLeaf } from './tree.ts';
import { parseVkey } from './vkey.ts';

/** Whose logs are believed: any of these C2SP vkeys may have signed. A `Policy` also says who must have cosigned. */
export type Trust = Pick<Policy, 'vkeys'> & Partial<Policy>;

/** `level` and `state` are null where nothing can be said: the receipt is invalid or unusable. */
export interface Verdict {
  readonly exit: Exit;
  readonly verdict: 'valid' | 'invalid' | 'not comparable' | 'unusable';
  readonly level: 'logged' | 'witnessed' | null;
  readonly state: RoadState | null;
  /** Every failed check, empty when valid. */
  readonly reasons: readonly string[];
  readonly summary: Summary | null;
}

/**
 * Verifies a receipt offline, with nothing but its bytes and the keys; with bodies also that they are the recorded
 * ones (docs/verify.md). Never rejects for what the receipt holds.
 */
export async function verifyReceipt(
  receipt: Uint8Array,
  trust: Trust,
  bodies: Bodies = {},
): Promise<Verdict> {
  const findings = new Findings();
  try {
    const keys = await trustKeys(trust);
    const shown = readReceipt(receipt, findings);
    const signed = readCheckpoint(shown, findings);
    // The signature is checked on another thread meanwhile.
    const signing = Promise.allSettled(
      signed === null
        ? []
        : [checkpointSigner(signed.note, signed.checkpoint, keys), requireQuorum(signed, trust)],
    );
    if (signed !== null) checkInclusion(shown, signed.checkpoint, findings);
    const attempts = readAttempts(shown, findings);
    const state = checkRoad(shown.id, attempts, findings);
    checkBodies(bodies, shown.open, attempts, findings);
    const [signer, quorum] = await signing;
    for (const part of [signer, quorum]) if (part?.status === 'rejected') findings.add(part.reason);
    const name = signer?.status === 'fulfilled' ? signer.value.name : shown.origin;
    checkOrigin(name, shown, attempts, findings);
    const level = (trust.quorum ?? null) === null ? 'logged' : 'witnessed';
    return verdictOf(findings, { level, state, summary: summaryOf(shown, attempts) });
  } catch (thrown) {
    findings.add(thrown);
    return verdictOf(findings, { level: 'logged', state: null, summary: null });
  }
}

async function trustKeys(trust: Trust): Promise<readonly TrustedKey[]> {
  if (trust.vkeys.length === 0) throw new Defect(2, 'a log key is required');
  return Promise.all(trust.vkeys.map(parseVkey).map(trustKey));
}

function readCheckpoint(
  { checkpoint: text }: ShownReceipt,
  findings: Findings,
): { note: Note; checkpoint: Checkpoint } | null {
  if (text === undefined) return null;
  try {
    const note = parseNote(text);
    return { note, checkpoint: parseCheckpoint(note.text) };
  } catch (thrown) {
    findings.add(thrown);
    return null;
  }
}

// A checkpoint whose signature fails still says what the proofs are meant to lead to, so they are checked all the same.
function checkInclusion({ attempts }: ShownReceipt, { size, root }: Checkpoint, findings: Findings): void {
  for (const { where, index, entry, path } of attempts.flatMap(leavesOf)) {
    if (index === undefined || entry === undefined || path === undefined) continue;
    if (!verifyInclusion({ leafHash: hashLeaf(entry), index: BigInt(index), size, root, path }))
      findings.invalid.push(`${where}: not at index ${index} under the checkpoint`);
  }
}

function leavesOf({ decision, outcome }: ShownReceipt['attempts'][number]): readonly ProvenLeaf[] {
  return [decision ?? [], outcome ?? []].flat();
}

function readAttempts({ attempts }: ShownReceipt, findings: Findings): readonly RoadAttempt[] {
  return attempts.map(({ decision, outcome }) => ({
    decision: decision && readDecision(decision, findings),
    outcome: outcome && readOutcome(outcome, findings),
  }));
}

// The name of the key that signed is the log's one name; where none did, the receipt's own word is held against itself.
function checkOrigin(
  name: string | undefined,
  { origin }: ShownReceipt,
  attempts: readonly RoadAttempt[],
  { invalid }: Findings,
): void {
  if (name === undefined) return;
  if (origin !== undefined && origin !== name) invalid.push('receipt.origin: not the name of the log key');
  for (const { decision } of attempts) {
    if (decision?.log !== undefined && decision.log !== name)
      invalid.push(`${decision.where}.log: not the origin of the log`);
  }
}

function summaryOf({ id, origin }: ShownReceipt, attempts: readonly RoadAttempt[]): Summary {
  return { id: id ?? null, origin: origin ?? null, attempts: attempts.map(attemptFacts) };
}

// Invalid outranks unusable, and both leave nothing to be said of level and state.
function verdictOf(
  { invalid, unusable, incomparable }: Findings,
  { level, state, summary }: Pick<Verdict, 'level' | 'state' | 'summary'>,
): Verdict {
  const unsaid = { level: null, state: null, summary };
  if (invalid.length > 0) return { exit: 1, verdict: 'invalid', ...unsaid, reasons: invalid };
  if (unusable.length > 0) return { exit: 2, verdict: 'unusable', ...unsaid, reasons: unusable };
  const said = { level, state, summary };
  if (incomparable.length > 0) return { exit: 2, verdict: 'not comparable', ...said, reasons: incomparable };
  return { exit: 0, verdict: 'valid', ...said, reasons: [] };
}
