import { decodeBatch } from '../../src/ledger/segment.ts';

/** The system calls that `orderViolations` reads, and how they have to be shown. */
export const TRACER: readonly string[] = [
  'strace',
  '--seccomp-bpf',
  '-f',
  '-yy',
  '-s',
  '65535',
  '-e',
  'trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,openat,close',
];

/** What the client knows of one answered request. */
export interface TracedRequest {
  /** Stands in the prompt, in no other request, and nowhere else. */
  readonly canary: string;
  readonly rid: string;
  readonly stream: boolean;
}

export interface TracedRun {
  readonly sitePort: number;
  readonly providerPort: number;
  readonly requests: readonly TracedRequest[];
}

/** A system call; `entered` and `returned` are lines of the trace, which stand in the order of events. */
interface Call {
  readonly name: string;
  /** Descriptor and what it leads to, such as `21</data/ledger/0a1b2c3d/roads>`. */
  readonly target: string;
  /** The bytes written, as Latin-1. */
  readonly data: string;
  readonly entered: number;
  /** Infinity for a call that never returned. */
  readonly returned: number;
  /** All bytes were written, or the sync succeeded. */
  readonly ok: boolean;
  /** A write to a descriptor that was seen opened so that each write is durable when it returns. */
  readonly synced: boolean;
}

const OPENED = /^(\d+) +(?:<\.\.\. openat resumed>|openat\()(.*)\) += (-?\d+)[^"]*$/s;
const OPENING = /^(\d+) +openat\((.*) <unfinished \.\.\.>$/s;
const CLOSED = /^\d+ +close\((\d+)/;
/** Behind the path, which is quoted, so that a file's name says nothing. */
const SYNCED_FLAG = /", [A-Z_|]*\bO_D?SYNC\b/;
const LINE = /^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\((\d+<(?:->|[^>])*>))(.*)$/s;
const UNFINISHED = ' <unfinished ...>';
const RESULT = /\) += (-?\d+)[^"]*$/;
const SYNC = /^fd?(?:data)?sync$/;
const RECEIPT_ID = /r_[0-9a-hjkmnp-tv-z]{26}/g;

/**
 * Everything that happened in another order than the one promised: decision and request key durable, then the first
 * byte to the provider; outcome durable, then the end of the answer; the prompt nowhere but on these two ways.
 */
export function orderViolations(trace: string, run: TracedRun): readonly string[] {
  const calls = readTrace(trace);
  const writes = calls.filter(({ name }) => !SYNC.test(name));
  const known: Known = {
    durable: durableLeaves(calls),
    keys: durableKeys(calls),
    toProvider: writes.filter(({ target }) => target.endsWith(`->127.0.0.1:${run.providerPort}]>`)),
    toClients: writes.filter(({ target }) => target.includes(`TCP:[127.0.0.1:${run.sitePort}->`)),
  };
  const onTheWay = new Set([...known.toProvider, ...known.toClients]);
  const elsewhere = writes.filter((call) => !onTheWay.has(call));
  return run.requests.flatMap((request) =>
    [
      dispatchViolation(request, known),
      answerViolation(request, known),
      leakViolation(request, elsewhere),
    ].flatMap((what) => (what === null ? [] : [`${request.canary}: ${what}`])),
  );
}

interface Known {
  /** When the sync returned that holds a leaf, by its kind and receipt id. */
  readonly durable: ReadonlyMap<string, number>;
  /** The same of request keys, by receipt id. */
  readonly keys: ReadonlyMap<string, number>;
  readonly toProvider: readonly Call[];
  readonly toClients: readonly Call[];
}

function dispatchViolation({ canary, rid }: TracedRequest, known: Known): string | null {
  const carrier = known.toProvider.find(({ data }) => data.includes(canary));
  if (carrier === undefined) return 'its prompt never left';
  const head = known.toProvider.findLast(
    ({ target, entered, data }) =>
      target === carrier.target && entered <= carrier.entered && data.includes('POST '),
  );
  if (head === undefined) return 'its prompt left without the head of a request';
  const decided = known.durable.get(`decision ${rid}`);
  if (decided === undefined) return 'no write of its decision was traced';
  if (decided === Infinity) return 'its decision was never synced';
  if (decided >= head.entered) return 'its first byte left before the sync of its decision returned';
  if ((known.keys.get(rid) ?? Infinity) > decided) return 'its decision was durable before its request key';
  return null;
}

function answerViolation({ rid, stream }: TracedRequest, known: Known): string | null {
  const head = known.toClients.find(({ data }) => data.includes(`sekisho-receipt: ${rid}`));
  if (head === undefined) return 'the head of its answer was not traced';
  const end = known.toClients.find(
    ({ target, entered, data }) =>
      target === head.target && entered >= head.entered && (!stream || data.includes('data: [DONE]')),
  );
  if (end === undefined) return 'the end of its answer was not traced';
  const closed = known.durable.get(`outcome ${rid}`);
  if (closed === undefined) return 'no write of its outcome was traced';
  if (closed === Infinity) return 'its outcome was never synced';
  return closed < end.entered ? null : 'its answer ended before the sync of its outcome returned';
}

function leakViolation({ canary }: TracedRequest, elsewhere: readonly Call[]): string | null {
  const leak = elsewhere.find(({ data }) => data.includes(canary));
  return leak === undefined ? null : `its prompt was written to ${leak.target}`;
}

function durableLeaves(calls: readonly Call[]): ReadonlyMap<string, number> {
  const durable = new Map<string, number>();
  for (const call of calls) {
    if (!call.target.endsWith('.wal>') || !call.ok || SYNC.test(call.name)) continue;
    const batch = decodeBatch(Buffer.from(call.data, 'latin1'), 0);
    const synced = syncedAt(call, calls);
    for (const entry of batch?.entries ?? []) {
      const leaf: unknown = JSON.parse(entry.toString());
      if (typeof leaf === 'object' && leaf !== null && 'kind' in leaf && 'rid' in leaf)
        durable.set(`${String(leaf.kind)} ${String(leaf.rid)}`, synced);
    }
  }
  return durable;
}

// A key opens nothing without the key of the day that wraps it.
function durableKeys(calls: readonly Call[]): ReadonlyMap<string, number> {
  const day = calls.find(({ target, data }) => target.endsWith('/day-keys>') && data.startsWith('SKD1'));
  const dayDurable = day === undefined ? Infinity : syncedAt(day, calls);
  const durable = new Map<string, number>();
  for (const call of calls) {
    if (!call.target.endsWith('/roads>') || !call.data.startsWith('SKR1')) continue;
    const synced = Math.max(dayDurable, syncedAt(call, calls));
    for (const [rid] of call.data.matchAll(RECEIPT_ID)) durable.set(rid, synced);
  }
  return durable;
}

// A synced write speaks for itself; for another only a sync that began after it had returned.
function syncedAt(write: Call, calls: readonly Call[]): number {
  if (!write.ok) return Infinity;
  if (write.synced) return write.returned;
  const speaking = calls.filter(
    ({ name, target, entered, ok }) =>
      ok && SYNC.test(name) && target === write.target && entered > write.returned,
  );
  return Math.min(Infinity, ...speaking.map(({ returned }) => returned));
}

type Begun = Omit<Call, 'returned' | 'ok'>;

function readTrace(trace: string): readonly Call[] {
  const calls: Call[] = [];
  const pending = new Map<string, Begun>();
  const descriptors = new SyncedDescriptors();
  for (const [number, line] of trace.split('\n').entries()) {
    descriptors.see(line);
    const [, thread = '', resumed, name = '', target = '', rest = ''] = LINE.exec(line) ?? [];
    if (thread === '' || name === 'close') continue;
    if (resumed !== undefined) {
      const begun = pending.get(thread);
      pending.delete(thread);
      if (begun !== undefined) calls.push(ended(begun, rest, number));
      continue;
    }
    const data = SYNC.test(name) ? '' : dataOf(rest);
    const call = { name, target, data, entered: number, synced: descriptors.has(target) };
    if (rest.endsWith(UNFINISHED)) pending.set(thread, call);
    else calls.push(ended(call, rest, number));
  }
  for (const call of pending.values()) calls.push({ ...call, returned: Infinity, ok: false });
  return calls.toSorted((a, b) => a.entered - b.entered);
}

/** The descriptors that were opened with O_DSYNC or O_SYNC and not closed since. */
class SyncedDescriptors {
  readonly #open = new Set<string>();
  readonly #opening = new Map<string, string>();

  has(target: string): boolean {
    return this.#open.has(numberOf(target));
  }

  see(line: string): void {
    const closed = CLOSED.exec(line)?.[1];
    if (closed !== undefined) this.#open.delete(closed);
    const [, beginner = '', begun = ''] = OPENING.exec(line) ?? [];
    if (beginner !== '') this.#opening.set(beginner, begun);
    const [, thread = '', args = '', result = ''] = OPENED.exec(line) ?? [];
    if (thread === '') return;
    // The flags stand in the line that began the call.
    const flags = `${this.#opening.get(thread) ?? ''}${args}`;
    this.#opening.delete(thread);
    if (SYNCED_FLAG.test(flags)) this.#open.add(result);
    else this.#open.delete(result);
  }
}

function numberOf(target: string): string {
  return target.slice(0, target.indexOf('<'));
}

function ended(begun: Begun, rest: string, returned: number): Call {
  const result = Number(RESULT.exec(rest)?.[1] ?? -1);
  return { ...begun, returned, ok: result === (SYNC.test(begun.name) ? 0 : begun.data.length) };
}

/** The strings among the arguments, in order: the pieces of a vector are one write. */
function dataOf(rest: string): string {
  let data = '';
  for (const [, text = ''] of rest.matchAll(/"((?:[^"\\]|\\.)*)"/gs)) data += unescaped(text);
  return data;
}

const NAMED: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  f: '\f',
  v: '\v',
  '"': '"',
  '\\': '\\',
};

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{1,3}|.)/gs, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (NAMED[code] ?? code),
  );
}
