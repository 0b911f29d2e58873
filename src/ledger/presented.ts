import { openCheckpoint, readVkey, type TreeHead } from './note.ts';
import { readBeginning, readEnd } from './rotation.ts';
import { hashToBase64, type TreeHash } from './tree.ts';
import { parseCheckpoint } from './verify/checkpoint.ts';
import { Defect, type Exit } from './verify/findings.ts';
import { parseNote } from './verify/note.ts';
import type { Vkey } from './verify/vkey.ts';

/** A log whose entries were all read. */
export interface CheckedLog {
  readonly key: Vkey;
  readonly head: TreeHead;
  readonly first: Buffer | null;
  readonly last: Buffer | null;
  /** The log's root at the presented size, or null when it never had that size. */
  readonly rootAtSize: TreeHash | null;
}

export interface Judgement {
  readonly exit: Exit;
  readonly line: string;
}

/** The size that a signed note speaks of. @throws Defect when it is no checkpoint. */
export function presentedSize(note: string): number {
  try {
    return Number(parseCheckpoint(parseNote(note).text).size);
  } catch (error) {
    if (error instanceof Defect) throw new Defect(2, `presented: ${error.message}`);
    throw error;
  }
}

/** What the first and the last leaf say of the logs before and after. */
export async function succession(first: Buffer | null, last: Buffer | null): Promise<readonly string[]> {
  const end = last === null ? null : readEnd(last);
  const before = await predecessorOf(first);
  return [
    ...(before === null
      ? []
      : [`follows ${before.key.name} size=${before.head.size} ${rootText(before.head)}`]),
    ...(end === null ? [] : [`ended reason=${end.reason} successor=${end.successor ?? 'none named'}`]),
  ];
}

/** Whether a signed note is one of this log, or of the log before it as far as its first leaf tells. */
export async function judgePresented(note: string, log: CheckedLog): Promise<Judgement> {
  const own = await openCheckpoint(note, log.key);
  if (!(own instanceof Defect)) return judgeOwn(own, log);
  const before = await predecessorOf(log.first);
  const older = before === null ? own : await openCheckpoint(note, before.key);
  if (before !== null && !(older instanceof Defect)) return judgeOlder(older, before);
  return { exit: 2, line: 'not signed with the key of this log or of the one before it' };
}

function judgeOwn(shown: TreeHead, { key, head, last, rootAtSize }: CheckedLog): Judgement {
  if (shown.size > 0 && shown.size <= head.size)
    return rootAtSize === shown.root
      ? { exit: 0, line: `size=${shown.size}, a checkpoint of this log` }
      : {
          exit: 1,
          line: `FORK: size=${shown.size}, signed with the key of ${key.name}, and not of this log`,
        };
  if (last !== null && readEnd(last) !== null) return afterTheEnd(shown, { key, head });
  return { exit: 2, line: `size=${shown.size}, newer than the ${head.size} entries that were checked` };
}

function judgeOlder(shown: TreeHead, before: Known): Judgement {
  if (shown.size > before.head.size) return afterTheEnd(shown, before);
  const where = `${before.key.name} size=${shown.size}`;
  if (shown.size < before.head.size)
    return { exit: 2, line: `${where}, before its end: check that log itself with it` };
  return shown.root === before.head.root
    ? { exit: 0, line: `${where}, its last checkpoint` }
    : { exit: 1, line: `FORK: ${where}, signed with its key, and not its last checkpoint` };
}

function afterTheEnd({ size }: TreeHead, { key, head }: Known): Judgement {
  return {
    exit: 1,
    line: `NOT OURS: ${key.name} ended with ${head.size} entries; size=${size} was signed by another hand that has its key`,
  };
}

interface Known {
  readonly key: Vkey;
  readonly head: TreeHead;
}

// The leaf stands in a log whose key is trusted, but what it quotes must be what it says.
async function predecessorOf(first: Buffer | null): Promise<Known | null> {
  const beginning = first === null ? null : readBeginning(first);
  if (beginning === null) return null;
  const { vkey, checkpoint } = beginning.predecessor;
  try {
    const key = readVkey(vkey);
    const head = await openCheckpoint(checkpoint, key);
    return head instanceof Defect ? null : { key, head };
  } catch (error) {
    if (error instanceof Defect) return null;
    throw error;
  }
}

function rootText({ root }: TreeHead): string {
  return `root=${hashToBase64(root)}`;
}
