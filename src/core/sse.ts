/** One server-sent event: its exact bytes, and the text of its `data` lines, null for comments. */
export interface StreamEvent {
  readonly bytes: Buffer;
  readonly data: string | null;
}

/** WHATWG HTML section 9.2: events end with an empty line; lines end with LF, CRLF or CR. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const LF = 0x0a;
const CR = 0x0d;

/** Cuts a byte stream into events, keeping their bytes as they came. */
export class EventSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The events completed by `chunk`; null when an event exceeds 4 MiB, after which the stream is unusable. */
  push(chunk: Buffer): StreamEvent[] | null {
    let pending = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const events: StreamEvent[] = [];
    for (;;) {
      const end = endOfEvent(pending);
      if (end === -1) break;
      const bytes = pending.subarray(0, end);
      events.push({ bytes, data: dataOf(bytes) });
      pending = pending.subarray(end);
    }
    this.#rest = pending;
    return pending.length > MAX_EVENT_BYTES ? null : events;
  }

  /** True when bytes of an unfinished event are left. */
  get unfinished(): boolean {
    return this.#rest.length > 0;
  }
}

function endOfEvent(bytes: Buffer): number {
  for (let i = bytes.indexOf(LF); i !== -1; i = bytes.indexOf(LF, i + 1)) {
    if (bytes[i + 1] === LF) return i + 2;
    if (bytes[i + 1] === CR && bytes[i + 2] === LF) return i + 3;
  }
  return endOfBareReturns(bytes);
}

// Lines ended by CR alone are allowed and rare: only a stream with no LF at all is searched for them.
function endOfBareReturns(bytes: Buffer): number {
  if (bytes.includes(LF)) return -1;
  const at = bytes.indexOf('\r\r');
  return at === -1 ? -1 : at + 2;
}

function dataOf(event: Buffer): string | null {
  const lines: string[] = [];
  for (const line of event.toString('utf8').split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) lines.push(line.slice(line.startsWith('data: ') ? 6 : 5));
  }
  return lines.length === 0 ? null : lines.join('\n');
}
