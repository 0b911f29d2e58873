import { SECOND } from '../../core/duration.ts';
import { Fault } from '../../core/fault.ts';
import { openCheckpoint, readVkey, type TreeHead } from '../note.ts';
import { EMPTY_ROOT } from '../tree.ts';
import { Defect } from '../verify/findings.ts';
import { continuationOf } from './continuation.ts';
import { overdue, readOn } from './outcomes.ts';
import type { RemoteLog } from './remote-log.ts';
import { NOTHING_READ, type LogState } from './state.ts';

export type AlarmKind =
  | 'fork'
  | 'rollback'
  | 'unproven'
  | 'signature'
  | 'silence'
  | 'outcome'
  | 'unknown-log';

export interface Alarm {
  readonly kind: AlarmKind;
  readonly message: string;
}

/** What a round is told to judge; null is not judged. Milliseconds. */
export interface Bounds {
  /** How long there may be no new checkpoint. */
  readonly silenceMs: number | null;
  /** How long an allowed decision may be without its outcome; needs the key of an auditor. */
  readonly outcomeMs: number | null;
}

/** Two signed notes that no honest log can both have signed. */
export interface ForkProof {
  readonly older: string;
  readonly newer: string;
  /** The consistency proof that leads to the newer root, in base64; empty when both have one size. */
  readonly nodes: readonly string[];
}

/** What one round found of one log. */
export interface Round {
  readonly state: LogState;
  /** The largest tree that was seen. */
  readonly head: TreeHead | null;
  readonly alarms: readonly Alarm[];
  /** Why there was no answer to judge, or null. */
  readonly unreached: string | null;
  readonly fork: ForkProof | null;
}

/** C2SP signed-note: at least 16 signatures, of which one that resists quantum computers takes 3.3 kB. */
const CHECKPOINT_BYTES = 64 << 10;
const SHOWN_OVERDUE = 20;

/**
 * Asks a log once, judges what it answers against what was seen before, and gives what is to be remembered.
 * @throws Fault kind `denied` when the log refuses the key.
 */
export async function followLog(
  log: RemoteLog | string,
  before: LogState,
  { bounds, now }: { readonly bounds: Bounds; readonly now: number },
): Promise<Round> {
  const round = new RoundOfLog(before, bounds, now);
  try {
    // A site that does not list the log any more gives the reason in its place.
    if (typeof log === 'string') throw new Fault('unavailable', 'ledger.unreached', log);
    await round.judge(log);
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.kind !== 'unavailable') throw thrown;
    round.unreached = thrown.message;
  }
  return round.end();
}

class RoundOfLog {
  unreached: string | null = null;
  #state: LogState;
  #head: TreeHead | null = null;
  #fork: ForkProof | null = null;
  readonly #alarms: Alarm[] = [];
  readonly #bounds: Bounds;
  readonly #now: number;

  constructor(before: LogState, bounds: Bounds, now: number) {
    this.#state = before;
    this.#bounds = bounds;
    this.#now = now;
  }

  async judge(log: RemoteLog): Promise<void> {
    this.#head = await headOf(this.#state);
    const note = await log.read('checkpoint', CHECKPOINT_BYTES);
    if (note === null) throw new Fault('unavailable', 'ledger.unreached', 'it gives no checkpoint');
    const head = await this.#signed(note);
    if (head === null || !(await this.#continues(log, head, note.toString('utf8')))) return;
    await this.#outcomes(log, head);
  }

  end(): Round {
    const { fork, since } = this.#state;
    if (fork !== null)
      this.#alarm('fork', `it signed two histories; the proof is in ${fork}, and nothing undoes it`);
    const { silenceMs } = this.#bounds;
    if (silenceMs !== null && this.#now - since > silenceMs)
      this.#alarm('silence', `no new checkpoint for ${seconds(this.#now - since)}`);
    return {
      state: this.#state,
      head: this.#head,
      alarms: this.#alarms,
      unreached: this.unreached,
      fork: this.#fork,
    };
  }

  async #signed(note: Buffer): Promise<TreeHead | null> {
    if (note.length > CHECKPOINT_BYTES)
      return this.#alarm('signature', `its checkpoint is longer than ${CHECKPOINT_BYTES} bytes`);
    const head = await openCheckpoint(note, readVkey(this.#state.vkey));
    return head instanceof Defect ? this.#alarm('signature', head.message) : head;
  }

  // Only what continues what was seen takes its place.
  async #continues(log: RemoteLog, head: TreeHead, note: string): Promise<boolean> {
    const seen = this.#head;
    if (seen !== null && head.size < seen.size) {
      this.#alarm('rollback', `it shows ${head.size} entries, but had signed ${seen.size}`);
      return false;
    }
    const older = seen ?? { size: 0, root: EMPTY_ROOT };
    const continued = await judged(() => continuationOf(log, older, head));
    if (continued instanceof Defect) {
      this.#alarm('unproven', continued.message);
      return false;
    }
    if (continued.forked) {
      this.#forked(continued.nodes, note, { older, newer: head });
      return false;
    }
    if (seen === null || head.size > seen.size)
      this.#state = { ...this.#state, checkpoint: note, since: this.#now };
    this.#head = head;
    return true;
  }

  #forked(nodes: readonly string[], newer: string, sizes: { older: TreeHead; newer: TreeHead }): void {
    const what = `its ${sizes.newer.size} entries do not begin with the ${sizes.older.size} that it had signed`;
    const { checkpoint } = this.#state;
    // Nothing had been signed yet: a tree without entries has one root only.
    if (checkpoint === null) return void this.#alarm('unproven', 'a root that no log without entries has');
    this.#fork = { older: checkpoint, newer, nodes };
    this.#alarm('fork', what);
  }

  async #outcomes(log: RemoteLog, head: TreeHead): Promise<void> {
    const { outcomeMs } = this.#bounds;
    if (outcomeMs === null) return;
    const read = await judged(() => readOn(this.#state.reading, { log, head, now: this.#now }));
    if (read instanceof Defect) {
      // What was read before may be what is wrong: the next round begins anew.
      this.#state = { ...this.#state, reading: NOTHING_READ };
      this.#alarm('unproven', read.message);
      return;
    }
    this.#state = { ...this.#state, reading: read };
    if (read.size < head.size) return;
    const late = overdue(read, outcomeMs, this.#now);
    for (const { index, rid, attempt, since } of late.slice(0, SHOWN_OVERDUE)) {
      const what = `attempt ${attempt} of ${rid}, allowed in entry ${index}`;
      this.#alarm('outcome', `${what}, has no outcome after ${seconds(this.#now - since)}`);
    }
    if (late.length > SHOWN_OVERDUE) this.#alarm('outcome', `and ${late.length - SHOWN_OVERDUE} more`);
  }

  #alarm(kind: AlarmKind, message: string): null {
    this.#alarms.push({ kind, message });
    return null;
  }
}

async function headOf({ checkpoint, vkey }: LogState): Promise<TreeHead | null> {
  if (checkpoint === null) return null;
  const head = await openCheckpoint(checkpoint, readVkey(vkey));
  if (head instanceof Defect) throw head;
  return head;
}

async function judged<T>(work: () => Promise<T>): Promise<T | Defect> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof Defect) return thrown;
    throw thrown;
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / SECOND)} s`;
}
