/** One server-sent event: its exact bytes, and the text of its `data` lines, null for comments. */
export interface StreamEvent {
  readonly bytes: Buffer;
  readonly data: string | null;
}

/** WHATWG HTML section 9.2: events end with an empty line; lines end with LF, CRLF or CR. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const LF = 0x0a;
const CR = 0x0d;

/** Cuts a byte stream into events, the same however it arrives, keeping their bytes as they came. */
export class EventSplitter {
  readonly #rest = new GrowingBuffer();
  /** Bytes so far of the line that has not ended. */
  #line = 0;
  #afterReturn = false;

  /** The events completed by `chunk`; null when an event exceeds 4 MiB, after which the stream is unusable. */
  push(chunk: Buffer): StreamEvent[] | null {
    if (chunk.length === 0) return [];
    const events: StreamEvent[] = [];
    const lines = new LineEnds(chunk);
    let start = 0;
    let at = 0;
    // The second half of a line end, which the first half ended already.
    if (this.#afterReturn && chunk[0] === LF) at = 1;
    for (let end = lines.next(at); end !== -1; end = lines.next(at)) {
      const empty = this.#line + end - at === 0;
      at = end + (chunk[end] === CR && chunk[end + 1] === LF ? 2 : 1);
      this.#line = 0;
      if (!empty) continue;
      const bytes = this.#rest.take(chunk.subarray(start, at));
      events.push({ bytes, data: dataOf(bytes) });
      start = at;
    }
    this.#line += chunk.length - at;
    this.#afterReturn = chunk.at(-1) === CR;
    this.#rest.add(chunk.subarray(start));
    return this.#rest.length > MAX_EVENT_BYTES ? null : events;
  }
}

/** Where the lines of a piece end, in one pass over it. */
class LineEnds {
  readonly #bytes: Buffer;
  #feed = -2;
  #return = -2;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The first LF or CR at or after `from`, which never goes back; -1 when there is none. */
  next(from: number): number {
    if (this.#feed !== -1 && this.#feed < from) this.#feed = this.#bytes.indexOf(LF, from);
    if (this.#return !== -1 && this.#return < from) this.#return = this.#bytes.indexOf(CR, from);
    if (this.#feed === -1) return this.#return;
    return this.#return === -1 ? this.#feed : Math.min(this.#feed, this.#return);
  }
}

const KEPT_BYTES = 64 * 1024;

/** What arrived of an event; one that comes byte by byte costs no more than its length. */
class GrowingBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  length = 0;

  add(piece: Buffer): void {
    const length = this.length + piece.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.length);
      this.#bytes = larger;
    }
    piece.copy(this.#bytes, this.length);
    this.length = length;
  }

  /** Everything added, followed by `last`; nothing is left. */
  take(last: Buffer): Buffer {
    if (this.length === 0) return last;
    const all = Buffer.concat([this.#bytes.subarray(0, this.length), last]);
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.alloc(0);
    this.length = 0;
    return all;
  }
}

function dataOf(event: Buffer): string | null {
  const lines: string[] = [];
  for (const line of event.toString('utf8').split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) lines.push(line.slice(line.startsWith('data: ') ? 6 : 5));
  }
  return lines.length === 0 ? null : lines.join('\n');
}
