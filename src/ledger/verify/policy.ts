import { Defect } from './findings.ts';
import { decodeUtf8 } from './strict-json.ts';
import type { CosignerKey, Vkey } from './vkey.ts';
import { parseCosignerVkey, parseVkey } from './vkey.ts';

/** A witness, or a group of which `atLeast` members must have cosigned. */
export type Quorum =
  | { readonly kind: 'witness'; readonly name: string; readonly key: CosignerKey }
  | {
      readonly kind: 'group';
      readonly name: string;
      readonly atLeast: number;
      readonly members: readonly Quorum[];
    };

/** A C2SP tlog-policy: any of the logs may have signed, and witnesses as the quorum says; null asks for none. */
export interface Policy {
  readonly vkeys: readonly string[];
  readonly quorum: Quorum | null;
  /** All that are defined, also those that the quorum leaves out. */
  readonly witnesses: readonly Witness[];
}

export interface Witness {
  readonly name: string;
  readonly key: CosignerKey;
  /** Its submission prefix, as written; null where none is. */
  readonly url: string | null;
}

/** The specification asks for 32 of each at least. */
const MAX_LINES = 1000;

/**
 * Reads a policy. One without witnesses and groups needs no `quorum` line.
 * @throws Defect exit 2 naming the line, for what the specification does not allow, and when there is no log.
 */
export function parsePolicy(policy: Uint8Array): Policy {
  const text = decodeUtf8(policy);
  // oxlint-disable-next-line eslint/no-control-regex -- C2SP tlog-policy "Character set"
  if (text === null || /[\u0000-\u0008\u000b-\u001f\u007f]/.test(text))
    throw unusable('expected UTF-8 text without control characters');
  const lines = text.split('\n');
  if (lines.length > MAX_LINES) throw unusable(`more than ${MAX_LINES} lines`);
  const reader = new PolicyReader();
  for (const [at, line] of lines.entries()) {
    const items = line.split(/[ \t]+/).filter((item) => item !== '');
    if (items[0] !== undefined && !items[0].startsWith('#')) reader.take(items, `line ${at + 1}`);
  }
  return reader.policy();
}

class PolicyReader {
  readonly #logs: Vkey[] = [];
  readonly #vkeys: string[] = [];
  readonly #witnesses: Witness[] = [];
  readonly #defined = new Map<string, Quorum>();
  readonly #used = new Set<string>();
  #quorum: Quorum | 'none' | null = null;

  take([keyword, ...items]: readonly string[], where: string): void {
    switch (keyword) {
      case 'log':
        return this.#log(items, where);
      case 'witness':
        return this.#witness(items, where);
      case 'group':
        return this.#group(items, where);
      case 'quorum':
        return this.#setQuorum(items, where);
      case undefined:
      default:
        throw unusable(`${where}: expected log, witness, group or quorum`);
    }
  }

  policy(): Policy {
    if (this.#logs.length === 0) throw unusable('expected a "log" line');
    if (this.#quorum === null && this.#defined.size > 0) throw unusable('expected a "quorum" line');
    const quorum = this.#quorum === 'none' ? null : this.#quorum;
    return { vkeys: this.#vkeys, quorum, witnesses: this.#witnesses };
  }

  #log([vkey, ...rest]: readonly string[], where: string): void {
    if (vkey === undefined || rest.length > 1) throw unusable(`${where}: expected "log <vkey> [url]"`);
    const key = parseVkey(vkey);
    refuseOtherUse(
      this.#witnesses.map((witness) => witness.key),
      key,
      where,
    );
    // Two names for one key would let a policy look broader than it is.
    if (this.#logs.some((known) => isSameKey(known, key)))
      throw unusable(`${where}: a log key stands in it twice`);
    this.#logs.push(key);
    this.#vkeys.push(vkey);
  }

  #witness([name, vkey, ...rest]: readonly string[], where: string): void {
    if (name === undefined || vkey === undefined || rest.length > 1)
      throw unusable(`${where}: expected "witness <name> <vkey> [url]"`);
    const key = parseCosignerVkey(vkey);
    refuseOtherUse(this.#logs, key, where);
    if (this.#witnesses.some((known) => isSameKey(known.key, key)))
      throw unusable(`${where}: a witness key stands in it twice`);
    this.#define({ kind: 'witness', name, key }, where);
    this.#witnesses.push({ name, key, url: rest[0] ?? null });
  }

  #group([name, threshold, ...names]: readonly string[], where: string): void {
    if (name === undefined || threshold === undefined || names.length === 0)
      throw unusable(`${where}: expected "group <name> <all|any|k> <name>..."`);
    const members = names.map((member) => this.#member(member, where));
    const atLeast = thresholdOf(threshold, members.length);
    if (atLeast === null)
      throw unusable(`${where}: expected all, any or a number from 1 to ${members.length}`);
    if (atLeast > 1) refuseTwoKeysOfOne(members, where);
    this.#define({ kind: 'group', name, atLeast, members }, where);
  }

  // Each name stands in one group at most, so that no witness counts twice.
  #member(name: string, where: string): Quorum {
    const member = this.#defined.get(name);
    if (member === undefined) throw unusable(`${where}: "${name}" is not defined above`);
    if (this.#used.has(name)) throw unusable(`${where}: "${name}" is already the member of a group`);
    this.#used.add(name);
    return member;
  }

  #define(quorum: Quorum, where: string): void {
    const { name } = quorum;
    if (name === 'none' || this.#defined.has(name)) throw unusable(`${where}: "${name}" is taken`);
    this.#defined.set(name, quorum);
  }

  #setQuorum([name, ...rest]: readonly string[], where: string): void {
    if (name === undefined || rest.length > 0) throw unusable(`${where}: expected "quorum <name|none>"`);
    if (this.#quorum !== null) throw unusable(`${where}: the quorum is already said`);
    const quorum = name === 'none' ? 'none' : this.#defined.get(name);
    if (quorum === undefined) throw unusable(`${where}: "${name}" is not defined above`);
    this.#quorum = quorum;
  }
}

// A log that cosigns for itself bears witness to nothing.
function refuseOtherUse(used: readonly (Vkey | CosignerKey)[], key: Vkey | CosignerKey, where: string): void {
  if (used.some((known) => isSameKey(known, key)))
    throw unusable(`${where}: one key is that of a log and of a witness`);
}

// One witness may have a key of each kind, and is still one.
function refuseTwoKeysOfOne(members: readonly Quorum[], where: string): void {
  const names = members.flatMap((member) => (member.kind === 'witness' ? member.key.name : []));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw unusable(`${where}: ${twice} would count twice; put its keys into a group of "any"`);
}

function thresholdOf(text: string, members: number): number | null {
  if (text === 'all') return members;
  if (text === 'any') return 1;
  const k = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  return k >= 1 && k <= members ? k : null;
}

function isSameKey(one: Vkey | CosignerKey, other: Vkey | CosignerKey): boolean {
  return one.publicKey.join() === other.publicKey.join();
}

function unusable(why: string): Defect {
  return new Defect(2, `unusable policy: ${why}`);
}
