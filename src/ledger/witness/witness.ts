import type { World } from '../../core/world.ts';
import { decodeBase64 } from '../verify/base64.ts';
import { parseCheckpoint, type Checkpoint } from '../verify/checkpoint.ts';
import { trustKey } from '../verify/ed25519.ts';
import { Defect } from '../verify/findings.ts';
import { noteSigners, parseNote, type Note } from '../verify/note.ts';
import { verifyConsistency } from '../verify/proof.ts';
import { sameBytes } from '../verify/sha256.ts';
import { TreeRoot, type Hash } from '../verify/tree.ts';
import type { Vkey } from '../verify/vkey.ts';
import type { CosignerSecret } from './keys.ts';
import type { WitnessState } from './state.ts';

/** Statuses of C2SP tlog-witness `add-checkpoint`; the body ends with a newline. */
export interface WitnessReply {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly body: string;
}

interface Asked {
  readonly old: bigint;
  readonly proof: readonly Hash[];
  /** Signatures that are no base64 are signatures that do not verify. */
  readonly note: Note | Defect;
  readonly checkpoint: Checkpoint;
}

const MAX_PROOF = 63;
const HASH_BYTES = 32;
const MAX_WAITING = 100;

/** Cosigns checkpoints of known logs, each only if it continues the last one (C2SP tlog-witness). */
export class Witness {
  readonly #state: WitnessState;
  readonly #keys: readonly CosignerSecret[];
  readonly #world: Pick<World, 'clock'>;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(state: WitnessState, keys: readonly CosignerSecret[], world: Pick<World, 'clock'>) {
    this.#state = state;
    this.#keys = keys;
    this.#world = world;
  }

  /** Null when too many wait. @throws Fault `ledger.unavailable` when the state cannot be read or kept. */
  async addCheckpoint(body: string): Promise<WitnessReply | null> {
    const asked = readRequest(body);
    if (asked instanceof Defect) return { status: 400, body: `${asked.message}\n` };
    const keys = await this.#state.keysOf(asked.checkpoint.origin);
    if (keys.length === 0) return { status: 404, body: 'unknown log\n' };
    const { note } = asked;
    if (note instanceof Defect) return badSignature(note);
    const signers = await signersOf(note, keys);
    if (signers instanceof Defect) return badSignature(signers);
    if (asked.old > asked.checkpoint.size)
      return { status: 400, body: 'the old size is larger than the checkpoint\n' };
    if (this.#waiting >= MAX_WAITING) return null;
    this.#waiting++;
    // One at a time from the look at the last one to its successor on the disk: two never see the same last one.
    const turn = this.#turn.then(async () => this.#judge({ ...asked, note }, signers));
    this.#turn = turn.catch(() => {});
    return turn.finally(() => this.#waiting--);
  }

  /** The last cosigned checkpoint of the log whose origin has this SHA-256, as lower-case hex, or null. */
  async checkpoint(originHash: string): Promise<string | null> {
    return this.#state.lastByHash(originHash);
  }

  async #judge(asked: Asked & { note: Note }, signers: readonly Vkey[]): Promise<WitnessReply> {
    const { old, proof, checkpoint, note } = asked;
    const last = await this.#last(checkpoint.origin);
    if (old !== last.size) return { status: 409, body: `${last.size}\n` };
    if (checkpoint.size === 0n && !sameBytes(checkpoint.root, new TreeRoot().root()))
      return { status: 422, body: 'the root is not that of an empty tree\n' };
    const { size: newSize, root: newRoot } = checkpoint;
    if (!verifyConsistency({ oldSize: old, oldRoot: last.root, newSize, newRoot, path: proof }))
      return {
        status: 422,
        body: 'the consistency proof does not lead from the last checkpoint to this one\n',
      };
    const seconds = BigInt(Math.floor(this.#world.clock.now() / 1000));
    const lines = this.#keys.map((key) => key.line(note.text, checkpoint, seconds)).join('');
    await this.#state.keep(checkpoint.origin, `${note.text}\n${linesOf(note, signers)}${lines}`);
    return { status: 200, body: lines };
  }

  async #last(origin: string): Promise<{ size: bigint; root: Hash }> {
    const stored = await this.#state.last(origin);
    if (stored === null) return { size: 0n, root: new TreeRoot().root() };
    return parseCheckpoint(parseNote(stored).text);
  }
}

function badSignature({ message }: Defect): WitnessReply {
  return { status: 403, body: `invalid signature: ${message}\n` };
}

function readRequest(body: string): Asked | Defect {
  const blank = body.indexOf('\n\n');
  const [first = '', ...lines] = body.slice(0, Math.max(blank, 0)).split('\n');
  const [, digits] = /^old (0|[1-9][0-9]{0,19})$/.exec(first) ?? [];
  if (digits === undefined)
    return new Defect(1, 'expected "old <size>", a proof, a blank line and a checkpoint');
  if (lines.length > MAX_PROOF) return new Defect(1, `more than ${MAX_PROOF} lines of proof`);
  const proof = lines.flatMap((line) => decodeBase64(line) ?? []);
  if (proof.length !== lines.length || proof.some(({ length }) => length !== HASH_BYTES))
    return new Defect(1, 'expected each line of the proof as base64 of 32 bytes');
  const text = body.slice(blank + 2);
  const checkpoint = caught(() => parseCheckpoint(text.slice(0, text.lastIndexOf('\n\n') + 1)));
  if (checkpoint instanceof Defect) return checkpoint;
  return { old: BigInt(digits), proof, note: caught(() => parseNote(text)), checkpoint };
}

function caught<T>(act: () => T): T | Defect {
  try {
    return act();
  } catch (thrown) {
    if (thrown instanceof Defect) return thrown;
    throw thrown;
  }
}

async function signersOf(note: Note, keys: readonly Vkey[]): Promise<readonly Vkey[] | Defect> {
  try {
    return await noteSigners(note, await Promise.all(keys.map(trustKey)));
  } catch (thrown) {
    if (thrown instanceof Defect) return thrown;
    throw thrown;
  }
}

function linesOf(note: Note, signers: readonly Vkey[]): string {
  const verified = note.signatures.filter(({ name, id }) =>
    signers.some((key) => key.name === name && key.id === id),
  );
  return verified
    .map(({ name, id, bytes }) => {
      const encoded = Buffer.concat([Buffer.from(id, 'hex'), bytes]).toString('base64');
      return `\u2014 ${name} ${encoded}\n`;
    })
    .join('');
}
